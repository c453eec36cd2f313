"""The way into rooms when many come at once, as after the loss of a gateway."""

import asyncio
from collections.abc import Callable
from typing import cast

from chat_gateway.api.relay import Relay
from chat_gateway.log.ring import as_frames
from chat_gateway.rooms.hub import Hub
from chat_gateway.streams.joining import Joined, Joiner
from chat_gateway.streams.streams import Streams
from chat_gateway.transport.outlet import Context, Outlet, Transport
from notecast_runtime.fair_turns import FairTurns
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import UNDIVIDED, Shares
from tests.support.waiting import eventually

_JOIN_SECONDS = 0.01


class Door:
    """What a relay joins by, and a transport. A join lasts until it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.joining = self.carried = 0

    async def join(self, *_: object) -> list[Joined]:
        self.joining += 1
        await self.let_go.wait()
        return []

    def client_of(self, _context: Context) -> ClientId:
        return ClientId("192.0.2.1", "1")

    async def carry(self, _context: Context, _flow: Callable[[Outlet], None]) -> None:
        self.carried += 1


class NoDeadline:
    def time_remaining(self) -> None:
        return None


async def test_a_stream_that_waits_for_a_turn_at_joining_has_more_time_than_redis_has() -> None:
    door, context = Door(), cast(Context, NoDeadline())
    relay = Relay(
        cast(Hub, door),
        cast(Joiner, door),
        Streams(Shares("streams", 9, UNDIVIDED), 60),
        cast(Transport, door),
        _JOIN_SECONDS,
        FairTurns("joins", 1, UNDIVIDED),
    )
    loop = asyncio.get_running_loop()
    calls = [asyncio.create_task(relay.run([], context, as_frames)) for _ in range(3)]
    await eventually(lambda: door.joining == 1, "one joins")
    late = loop.time() + 5 * _JOIN_SECONDS
    await eventually(lambda: loop.time() > late, "the others have waited")
    door.let_go.set()
    await asyncio.gather(*calls)
    assert door.carried == 3
