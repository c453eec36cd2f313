"""Streams that nothing else would end: bounded in number and in age, and ended with the server."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from notecast_runtime.errors import ShuttingDownError, StreamExpiredError, TooManyStreamsError
from notecast_runtime.standard_streams import StandardStreams
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import UNDIVIDED, Shares
from tests.support.waiting import eventually

CONTEXT: Any = None
CLIENT = ClientId("192.0.2.1", "1")


def places(total: int = 10, lifetime_seconds: float = 60) -> StandardStreams:
    shares = Shares("streams", total, UNDIVIDED)
    return StandardStreams(shares, lambda _: CLIENT, lifetime_seconds)


async def stay(streams: StandardStreams) -> None:
    async with streams.place(CONTEXT):
        await asyncio.Event().wait()


async def test_one_more_than_the_bound_is_refused_and_a_place_given_back_is_free() -> None:
    streams = places(2)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(streams.place(CONTEXT))
        with pytest.raises(TooManyStreamsError):
            await stay(streams)
    assert not len(streams)
    async with streams.place(CONTEXT):
        assert len(streams) == 1


async def test_one_that_is_as_old_as_may_be_ends_with_the_reason() -> None:
    streams = places(lifetime_seconds=0.05)
    with pytest.raises(StreamExpiredError):
        await stay(streams)
    assert not len(streams)


async def test_all_end_with_the_server_and_none_begins_any_more() -> None:
    streams = places()
    tasks = [asyncio.create_task(stay(streams)) for _ in range(3)]
    await eventually(lambda: len(streams) == 3, "three streams")
    streams.close()
    streams.close()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in ended] == [ShuttingDownError] * 3
    with pytest.raises(ShuttingDownError):
        await stay(streams)


async def test_one_that_is_cancelled_by_its_client_ends_as_that() -> None:
    streams = places()
    task = asyncio.create_task(stay(streams))
    await eventually(lambda: len(streams), "a stream")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not len(streams)
