"""What comes while several calls are under way is taken together, in order, and soon."""

import asyncio
from collections.abc import Callable

import pytest

from notecast_wire import server
from notecast_wire.gathering import Gathering

SECONDS = 0.05


def taking(taken: list[tuple[str, bytes]], name: str) -> Callable[[bytes], None]:
    return lambda data: taken.append((name, data))


@pytest.fixture
def taken() -> list[tuple[str, bytes]]:
    return []


async def gathering(seconds: float = SECONDS) -> Gathering:
    """One that has taken nothing for long enough to be idle is as good as new."""
    return Gathering(asyncio.get_running_loop(), seconds)


@pytest.mark.parametrize("calls", [0, 1])
async def test_an_idle_server_takes_at_once(taken: list[tuple[str, bytes]], calls: int) -> None:
    (await gathering()).put(taking(taken, "a"), b"1", calls)
    assert taken == [("a", b"1")]


async def test_without_a_time_everything_is_taken_at_once(taken: list[tuple[str, bytes]]) -> None:
    (await gathering(0)).put(taking(taken, "a"), b"1", calls=1_000)
    assert taken == [("a", b"1")]


async def test_a_busy_server_takes_what_comes_together_and_in_order(
    taken: list[tuple[str, bytes]],
) -> None:
    held = await gathering()
    held.put(taking(taken, "a"), b"1", calls=2)
    held.put(taking(taken, "b"), b"2", calls=2)
    held.put(taking(taken, "a"), b"3", calls=0)  # never before what came earlier
    assert taken == []
    before = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        while not taken:  # noqa: ASYNC110 - each turn is looked at: all comes in one
            await asyncio.sleep(0)
    assert taken == [("a", b"1"), ("b", b"2"), ("a", b"3")]
    assert asyncio.get_running_loop().time() - before < 5, "bounded, if a machine is slow"


async def test_a_server_that_has_gathered_goes_on_for_as_long_as_much_comes(
    taken: list[tuple[str, bytes]],
) -> None:
    held = await gathering(3_600)
    held.put(taking(taken, "a"), b"1", calls=2)
    held.put(taking(taken, "b"), b"2", calls=2)
    held.release()
    held.put(taking(taken, "c"), b"3", calls=0)  # all were answered, and one comes soon
    assert [name for name, _ in taken] == ["a", "b"]
    held.release()
    held.put(taking(taken, "d"), b"4", calls=0)  # it had been alone
    assert [name for name, _ in taken] == ["a", "b", "c", "d"]


async def test_what_waits_is_bounded(taken: list[tuple[str, bytes]]) -> None:
    held = await gathering(3_600)
    for number in range(5):
        held.put(taking(taken, f"{number}"), bytes(65_536), calls=2)
    assert [name for name, _ in taken] == ["0", "1", "2", "3", "4"]


async def test_who_comes_long_after_the_last_time_waits_for_nobody(
    taken: list[tuple[str, bytes]],
) -> None:
    held = await gathering(1e-9)  # so that any time is long
    held.put(taking(taken, "a"), b"1", calls=2)
    async with asyncio.timeout(10):
        for _ in range(3):  # turns: a timer that is due, and it is over
            await asyncio.sleep(0)
    assert taken == [("a", b"1")]


async def test_how_long_to_gather_may_change_and_counts_for_what_comes_from_then_on(
    taken: list[tuple[str, bytes]],
) -> None:
    held = await gathering(3_600)
    held.put(taking(taken, "a"), b"1", calls=2)
    held.release()
    held.seconds = 0.0
    held.put(taking(taken, "b"), b"2", calls=2)
    assert [name for name, _ in taken] == ["a", "b"]


async def test_a_server_gathers_for_as_long_as_it_is_told_and_never_shorter_than_its_option() -> (
    None
):
    made = server(options=[("notecast_wire.gathering_ms", 9)])
    made.gather_for(1)  # it does not serve yet, and keeps its option
    await made.start()
    told = [made.gathering_seconds]
    for seconds in (0.012, 0.001, 0):
        made.gather_for(seconds)
        told.append(made.gathering_seconds)
    await made.stop(None)
    assert told == [0.009, 0.012, 0.009, 0.009]


async def test_a_fault_of_one_connection_does_not_keep_the_others(
    taken: list[tuple[str, bytes]],
) -> None:
    def fails(data: bytes) -> None:
        raise RuntimeError(data.decode())

    told: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    held = await gathering(3_600)
    held.put(fails, b"a fault", calls=2)
    held.put(taking(taken, "b"), b"2", calls=2)
    held.release()
    assert taken == [("b", b"2")]
    assert [str(each["exception"]) for each in told] == ["a fault"]
