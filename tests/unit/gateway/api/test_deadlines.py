"""Whose time is over: a call's own, or that of a part that does not answer."""

import asyncio
from typing import Any

import pytest

from chat_gateway.api.deadlines import Patience
from notecast_runtime.errors import DeadlineExceededError, RedisUnavailableError


class Call:
    """As far as its deadline goes."""

    def __init__(self, remaining: float | None) -> None:
        self._remaining = remaining

    def time_remaining(self) -> float | None:
        return self._remaining


def patience(remaining: float | None, at_most: float) -> Patience:
    call: Any = Call(remaining)
    return Patience(call, at_most)


async def wait_in_vain(seconds: float) -> None:
    await asyncio.sleep(seconds)
    raise RedisUnavailableError("Redis did not answer in time")


@pytest.mark.parametrize(("remaining", "seconds"), [(None, 2), (10, 2), (1, 0.9), (0, 0)], ids=str)
def test_the_wait_is_our_bound_or_most_of_the_deadline(
    remaining: float | None, seconds: float
) -> None:
    with patience(remaining, 2) as bound:
        assert bound == pytest.approx(seconds)


async def test_where_the_deadline_was_the_bound_and_is_used_up_that_is_what_is_said() -> None:
    told = pytest.raises(DeadlineExceededError, match=r"deadline of 0\.05 s")
    with told, patience(0.05, 2) as seconds:
        await wait_in_vain(seconds)


async def test_where_our_own_bound_was_shorter_the_part_is_to_blame() -> None:
    with pytest.raises(RedisUnavailableError), patience(10, 0.02) as seconds:
        await wait_in_vain(seconds)


async def test_a_part_that_is_away_at_once_is_to_blame_whatever_the_deadline() -> None:
    with pytest.raises(RedisUnavailableError), patience(1, 2):
        await wait_in_vain(0)


async def test_other_errors_are_let_through() -> None:
    with pytest.raises(KeyError), patience(0, 2):
        raise KeyError
