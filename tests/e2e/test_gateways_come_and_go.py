"""500 streams and 200 notes a second through Envoy while gateways are restarted, or added."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from redis import asyncio as aioredis

from notecast_client.cursors import Position
from notecast_local.child import Child
from notecast_local.ports import StackPorts, choose_ports
from notecast_local.settings import HOST, LocalSettings
from tests.chaos.chat import Chat
from tests.chaos.faults import Kind, Site
from tests.chaos.folder import RunFolder
from tests.chaos.plan import Plan
from tests.support.heads import head_of
from tests.support.local_programs import LocalPrograms
from tests.support.ports import free_port
from tests.support.spread import is_even
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_PLAN = Plan(
    seconds=10,
    kinds=(),
    busy_rooms=25,
    quiet_rooms=0,
    readers=500,
    hops=0,
    busy_notes=200,
    quiet_notes=0,
)
_GRACE_SECONDS = 20
_LIFETIME_SECONDS = 20
_ENVIRONMENT = {
    "NOTECAST_SHUTDOWN_GRACE_SECONDS": f"{_GRACE_SECONDS}",
    "NOTECAST_DRAIN_NOTICE_SECONDS": "3",
    "NOTECAST_DRAIN_SPREAD_SECONDS": "3",
    "NOTECAST_STREAM_LIFETIME_SECONDS": f"{_LIFETIME_SECONDS}",
}
_KINDS = {
    name: Kind(name, Site.GATEWAY, silence_seconds=5.0)
    for name in ("restarted", "added", "removed")
}
_QUIET_NOTES = 200
"""A second's."""


class _System(NamedTuple):
    programs: LocalPrograms
    chat: Chat
    ports: StackPorts

    async def settled(self) -> None:
        """Returns when Envoy sends calls to every gateway that runs."""

        async def sees_all() -> bool:
            upstreams = await self.programs.upstreams()
            running = {name for name, child in self._gateways() if not child.exited.done()}
            return running == {
                name for name, upstream in upstreams.items() if upstream.health == "healthy"
            }

        await eventually(sees_all, "Envoy sees who is there", 30)

    async def even(self, gateways: Collection[str], seconds: float) -> None:
        """Returns when each gateway's streams are within 20 % of their mean."""
        counts: Mapping[str, int] = {}

        async def are_even() -> bool:
            nonlocal counts
            upstreams = await self.programs.upstreams()
            counts = {name: upstreams[name].open_calls for name in gateways}
            return is_even(counts.values())

        try:
            await eventually(are_even, "streams are spread evenly", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {counts}") from None

    async def stop(self, name: str) -> float:
        """Ends a gateway in an orderly way; returns the seconds that it took."""
        child = self.programs.children[name]
        begin = time.monotonic()
        child.terminate()
        async with asyncio.timeout(_GRACE_SECONDS):
            assert await child.exited == 0
        return time.monotonic() - begin

    async def restart(self, name: str) -> None:
        """Ends a gateway well within its grace, and starts it again."""
        assert await self.stop(name) < 10
        await self.programs.start(name)
        await self.settled()

    async def heads(self, rooms: Sequence[str]) -> Mapping[str, Position]:
        """Where the rooms' logs end, by Redis itself."""
        async with aioredis.Redis(host=HOST, port=self.ports.valkey) as redis:
            return {room: await head_of(redis, room) for room in rooms}

    def _gateways(self) -> list[tuple[str, Child]]:
        children = self.programs.children
        return [(name, children[name]) for name in self.programs.gateways if name in children]


@asynccontextmanager
async def system(folder: Path, gateways: int, without: Collection[str]) -> AsyncIterator[_System]:
    settings = LocalSettings(port=free_port(), tutorial_port=free_port(), gateways=gateways)
    ports = choose_ports(settings)
    async with LocalPrograms.running(folder / "stack", ports, without, **_ENVIRONMENT) as programs:
        files = RunFolder(folder / "run")
        async with Chat.running(_PLAN, files, ports.clients, _KINDS) as chat:
            yield _System(programs, chat, ports)


async def test_every_gateway_is_restarted_in_turn_and_no_client_notices_more_than_a_resumed_stream(
    tmp_path: Path,
) -> None:
    async with system(tmp_path, gateways=3, without=()) as it:
        for name in it.programs.gateways:
            await it.chat.disturb("restarted", it.restart(name), _QUIET_NOTES)
        await it.even(it.programs.gateways, 2 * _LIFETIME_SECONDS)
        findings = await it.chat.finish(it.heads)
    assert findings.breaches == {}
    breaks = it.chat.breaks()
    assert breaks.streams == {}
    assert breaks.sends == {}


async def test_gateways_that_are_added_get_their_share_within_the_lifetime_of_streams(
    tmp_path: Path,
) -> None:
    """Streams do not stay on old replicas after a scale-up: new gateways get their share."""
    late = ("chat-gateway-3", "chat-gateway-4")
    async with system(tmp_path, gateways=4, without=late) as it:
        await asyncio.gather(*(it.programs.start(name) for name in late))
        await it.chat.disturb("added", it.settled(), _QUIET_NOTES)
        # The longest life is 20 % longer, and Envoy's own counts come late.
        await it.even(it.programs.gateways, 1.5 * _LIFETIME_SECONDS)
        for name in late:
            await it.chat.disturb("removed", it.stop(name), _QUIET_NOTES)
        await it.even([name for name in it.programs.gateways if name not in late], 10)
        findings = await it.chat.finish(it.heads)
    assert findings.breaches == {}
    breaks = it.chat.breaks()
    assert breaks.streams == {}
    assert breaks.sends == {}
