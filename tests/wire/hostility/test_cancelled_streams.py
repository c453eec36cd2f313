"""Streams that clients give up leave nothing behind."""

import asyncio

import pytest
from grpc import aio

from tests.support import bytes_service
from tests.support.waiting import eventually
from tests.wire.hostility.victim import Victim, victim

_STREAMS = 20_000
_AT_ONCE = 200
_WARM_UP = 2_000
_MAX_GROWTH_BYTES = 4 * 1024 * 1024


@pytest.mark.timeout(300)
@pytest.mark.slow
async def test_20_000_cancelled_streams_give_their_memory_back() -> None:
    with victim() as server:
        async with aio.insecure_channel(server.target) as channel:
            await _cancel_streams(channel, _WARM_UP)
            tasks = await _calm(server, channel)
            memory = server.resident_bytes
            await _cancel_streams(channel, _STREAMS)
            assert await _calm(server, channel) == tasks
            assert server.resident_bytes - memory < _MAX_GROWTH_BYTES


async def _cancel_streams(channel: aio.Channel, count: int) -> None:
    stream: aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(
        f"/{bytes_service.NAME}/Flood"
    )

    async def cancel() -> None:
        call = stream(b"\0\x0a", timeout=60)
        assert await call.read() == bytes(10)
        call.cancel()

    for _ in range(count // _AT_ONCE):
        await asyncio.gather(*(cancel() for _ in range(_AT_ONCE)))


async def _calm(server: Victim, channel: aio.Channel) -> int:
    """Waits until only the call that asks is left; gives the number of tasks."""
    census: dict[str, int] = {}

    async def calm() -> bool:
        census.clear()
        census.update(await server.census(channel))
        return census["Stream"] == 1

    await eventually(calm, f"the server forgets its streams: {census}", 30)
    return census["tasks"]
