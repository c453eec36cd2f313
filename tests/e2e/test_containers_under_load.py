"""What an operator does to containers while clients chat, and that no note is lost of it.

The clients and the check are those of tests/chaos.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from notecast_client.cursors import Position
from notecast_runtime.keyspace import epoch_key, heads_key, partition_of
from tests.chaos.chat import Chat
from tests.chaos.faults import Kind, Site
from tests.chaos.findings import CALM
from tests.chaos.folder import RunFolder
from tests.chaos.plan import Plan
from tests.support.containers import Containers
from tests.support.reading_client import ReadingClient
from tests.support.sending import send_all

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(900)]

_PLAN = Plan(seconds=5, kinds=(), busy_rooms=4, quiet_rooms=4, readers=60, busy_notes=60)
_SILENCE_SECONDS = 15.0
"""How long a note may stay away: a few containers start on two busy cores meanwhile."""

_QUIET_NOTES = 100
"""So many go well between two disturbances."""


def _kinds(*names: str, blocks: bool = False) -> Mapping[str, Kind]:
    return {
        name: Kind(name, Site.REDIS, blocks=blocks, silence_seconds=_SILENCE_SECONDS)
        for name in names
    }


ORDERLY = _kinds("scaled-up", "scaled-down", "chat-gateway-restarted", "history-restarted")
DEADLY = _kinds(
    *("chat-gateway-killed", "history-killed", "envoy-killed", "redis-restarted"), blocks=True
)

_KINDS = {**ORDERLY, **DEADLY}


async def _heads(containers: Containers, rooms: Sequence[str]) -> Mapping[str, Position]:
    """Where the rooms' logs end, by Redis itself."""
    heads = {}
    for room in rooms:
        partition = partition_of(room)
        epoch = containers.redis("GET", epoch_key(partition))
        head = containers.redis("HGET", heads_key(partition), room)
        heads[room] = Position(int(epoch or 0), int(head or 0))
    return heads


async def test_no_note_is_lost_or_repeated_whatever_is_done_to_containers(
    containers: Containers, tmp_path: Path
) -> None:
    """What is orderly, clients do not even notice: no stream breaks, no send has to be repeated."""
    port = int(containers.target.rpartition(":")[2])
    async with Chat.running(_PLAN, RunFolder(tmp_path / "run"), port, _KINDS) as chat:

        async def disturb(kind: str, *steps: Callable[[], None]) -> None:
            async def take() -> None:
                for step in steps:
                    await asyncio.to_thread(step)

            await chat.disturb(kind, take(), _QUIET_NOTES)

        await disturb("scaled-up", partial(containers.scale, 4))
        await disturb("scaled-down", partial(containers.scale, 2))
        for service in ("chat-gateway", "history"):
            for one in containers.of(service):
                restart = partial(containers.restart, one)
                await disturb(f"{service}-restarted", restart, containers.mend)
        for service in ("chat-gateway", "history", "envoy"):
            kill = partial(containers.kill, containers.of(service)[0])
            await disturb(f"{service}-killed", kill, containers.mend)
        (redis,) = containers.of("redis")
        await disturb("redis-restarted", partial(containers.restart, redis), containers.mend)
        findings = await chat.finish(partial(_heads, containers))
    assert findings.breaches == {}
    assert findings.forgotten == 0
    breaks = chat.breaks()
    assert not breaks.streams.keys() & {CALM, *ORDERLY}
    assert not breaks.sends.keys() & {CALM, *ORDERLY}
    # The check would not see what no client ran into.
    assert {"chat-gateway-killed", "envoy-killed"} <= breaks.streams.keys()


async def test_what_was_said_is_still_there_after_down_and_up(containers: Containers) -> None:
    said = [f"note {number}" for number in range(50)]
    acknowledged = await send_all([containers.target], "before", said)
    assert sorted(acknowledged) == sorted(said)
    await asyncio.to_thread(containers.compose, "down")
    await asyncio.to_thread(containers.compose, "up", "--detach", "--wait")
    async with ReadingClient(containers.target, "before", from_start=True) as reader:
        await reader.holds(len(said))
    assert reader.texts == sorted(said, key=acknowledged.__getitem__)
    assert reader.discontinuities == []
