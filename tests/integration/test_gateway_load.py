"""What a gateway does with many streams: it stays small, and goes on answering."""

import asyncio
import time
from typing import Any

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.census import resident_bytes
from tests.support.crowd import Crowd
from tests.support.gateway_process import gateway_process
from tests.support.services import Gateway
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

ROOM_MARK = b"<room"
TEXT_MARK = b"<text>"
CONNECTIONS = 20


async def test_an_idle_stream_costs_no_more_than_two_kilobytes(valkey: ValkeyProcess) -> None:
    """On shared connections, ten streams a room: all that the gateway has of it."""
    first = [f"<room {number % 100}>" for number in range(1_000)]
    more = [f"<room {number % 500} of more>" for number in range(5_000)]
    async with (
        gateway_process(valkey.url, redis_timeout_seconds=20, client_share=1) as (pid, gateway),
        Crowd(gateway.target, first, CONNECTIONS, [ROOM_MARK]),
    ):
        before = resident_bytes(pid)  # caches and pools have their size from now on
        async with Crowd(gateway.target, more, CONNECTIONS, [ROOM_MARK]):
            grown = resident_bytes(pid) - before
    assert grown / len(more) <= 2_048


class Load:
    """Two seconds of 300 notes a second to one room, and health checks beside them."""

    notes = 600
    seconds = 2.0

    def __init__(self, gateway: Gateway, channel: aio.Channel) -> None:
        self.slowest_check = 0.0
        self._gateway = gateway
        self._health: Any = health_pb2_grpc.HealthStub(channel)

    async def run(self) -> None:
        """Returns when all notes are acknowledged."""
        checking = asyncio.create_task(self._check())
        begun = time.monotonic()
        sending: list[asyncio.Task[object]] = []
        for number in range(self.notes):
            due = begun + self.seconds * number / self.notes
            await asyncio.sleep(max(due - time.monotonic(), 0))
            send = self._gateway.send("<room>", f"<text> {number}", deadline_seconds=10)
            sending.append(asyncio.create_task(send))
        await asyncio.gather(*sending)
        checking.cancel()
        await asyncio.gather(checking, return_exceptions=True)

    async def _check(self) -> None:
        while True:
            begun = time.monotonic()
            await self._health.Check(health_pb2.HealthCheckRequest(), timeout=5)
            self.slowest_check = max(self.slowest_check, time.monotonic() - begun)
            await asyncio.sleep(0.05)


async def test_sends_and_health_checks_are_answered_while_500_streams_get_300_notes_a_second(
    valkey: ValkeyProcess,
) -> None:
    """Fan-out does not starve the sends of its own process."""
    streams = 500
    async with (
        gateway_process(valkey.url) as (_, gateway),
        Crowd(gateway.target, ["<room>"] * streams, CONNECTIONS, [ROOM_MARK, TEXT_MARK]) as crowd,
        aio.insecure_channel(gateway.target) as channel,
    ):
        sent = 0

        async def keeps_up() -> bool:
            nonlocal sent
            load = Load(gateway, channel)
            begun = time.monotonic()
            await load.run()
            sent += load.notes
            took = time.monotonic() - begun
            await eventually(
                lambda: crowd.count(TEXT_MARK) == sent * streams, "all is delivered", seconds=20
            )
            return took < load.seconds + 0.5 and load.slowest_check < 0.1

        # Others use the machine, too: once is enough.
        await eventually(keeps_up, "sends keep up, and checks are answered within 100 ms", 40)
