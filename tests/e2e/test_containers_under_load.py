"""What an operator does to containers while clients chat, and that no note is lost of it.

The clients and the check are those of tests/chaos.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from notecast_runtime.keyspace import epoch_key, heads_key, partition_of
from tests.chaos.breaks import Breaks
from tests.chaos.cast import draw_cast
from tests.chaos.crowd import Crowd, rooms_of
from tests.chaos.faults import EVERYONE, Kind, Site
from tests.chaos.findings import CALM, Findings
from tests.chaos.folder import RunFolder
from tests.chaos.plan import Plan
from tests.chaos.records import Injected, Journal, Place, read_records
from tests.support.containers import Containers
from tests.support.reading_client import ReadingClient
from tests.support.waiting import eventually

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

_PLAN = Plan(seconds=20, kinds=(), busy_rooms=4, quiet_rooms=4, readers=60, busy_notes=60)
_SILENCE_SECONDS = 15.0
"""How long a note may stay away: a few containers start on two busy cores meanwhile."""

_SETTLE_SECONDS = 60.0
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


class Chat:
    """Clients that chat through containers, and all that they wrote down."""

    def __init__(self, containers: Containers, folder: RunFolder) -> None:
        self._containers = containers
        self._folder = folder
        self._journal = Journal(folder.faults)
        self.crowd = Crowd(folder, _PLAN.seed)

    async def disturb(self, kind: str, *steps: Callable[[], None]) -> None:
        """Does something to the containers; returns when notes have gone well for a while."""
        begin = monotonic()
        for step in steps:
            await asyncio.to_thread(step)
        self._journal.write(Injected(begin, monotonic(), kind, EVERYONE, hit=True))
        enough = self.crowd.acknowledged + _QUIET_NOTES
        await eventually(lambda: self.crowd.acknowledged >= enough, f"notes after {kind}", 60)

    async def finish(self) -> Findings:
        """Has all catch up, and checks what they saw."""
        await self.crowd.finish_writers(_SETTLE_SECONDS)
        heads = _heads(self._containers, rooms_of(draw_cast(_PLAN).readers))
        await self.crowd.finish_readers(heads, _SETTLE_SECONDS)
        self._journal.close()
        return await asyncio.to_thread(self._folder.check, {**ORDERLY, **DEADLY})

    def breaks(self) -> Breaks:
        """What the clients had to mend."""
        disturbances = [r for r in read_records(self._folder.faults) if isinstance(r, Injected)]
        files = (*self._folder.readers.glob("*.jsonl"), *self._folder.writers.glob("*.jsonl"))
        return Breaks(disturbances, (record for file in files for record in read_records(file)))


def _heads(containers: Containers, rooms: Sequence[str]) -> dict[str, Place]:
    """Where the rooms' logs end, by Redis itself."""
    heads = {}
    for room in rooms:
        partition = partition_of(room)
        epoch = containers.redis("GET", epoch_key(partition))
        head = containers.redis("HGET", heads_key(partition), room)
        heads[room] = Place(int(epoch or 0), int(head or 0))
    return heads


@asynccontextmanager
async def chat(containers: Containers, folder: Path) -> AsyncIterator[Chat]:
    """Clients, all of them at it; gone on leaving."""
    files = RunFolder(folder / "run")
    files.begin(_PLAN)
    running = Chat(containers, files)
    port = int(containers.target.rpartition(":")[2])
    try:
        await running.crowd.begin(draw_cast(_PLAN), {"envoy": port}, {"envoy": port})
        crowd = running.crowd
        await eventually(
            lambda: crowd.streams >= _PLAN.readers // 2 and crowd.acknowledged, "all chat", 60
        )
        yield running
    finally:
        await running.crowd.stop()


async def test_no_note_is_lost_or_repeated_whatever_is_done_to_containers(
    containers: Containers, tmp_path: Path
) -> None:
    """What is orderly, clients do not even notice: no stream breaks, no send has to be repeated."""
    async with chat(containers, tmp_path) as running:
        await running.disturb("scaled-up", partial(containers.scale, 4))
        await running.disturb("scaled-down", partial(containers.scale, 2))
        for service in ("chat-gateway", "history"):
            for one in containers.of(service):
                restart = partial(containers.restart, one)
                await running.disturb(f"{service}-restarted", restart, containers.mend)
        for service in ("chat-gateway", "history", "envoy"):
            kill = partial(containers.kill, containers.of(service)[0])
            await running.disturb(f"{service}-killed", kill, containers.mend)
        (redis,) = containers.of("redis")
        await running.disturb(
            "redis-restarted", partial(containers.restart, redis), containers.mend
        )
        findings = await running.finish()
    assert findings.breaches == {}
    assert findings.forgotten == 0
    breaks = running.breaks()
    assert not breaks.streams.keys() & {CALM, *ORDERLY}
    assert not breaks.sends.keys() & {CALM, *ORDERLY}
    # The check would not see what no client ran into.
    assert {"chat-gateway-killed", "envoy-killed"} <= breaks.streams.keys()


async def test_what_was_said_is_still_there_after_down_and_up(containers: Containers) -> None:
    async with ReadingClient(containers.target, "room-busy-1", from_start=True) as reader:
        before = reader.sequences
    await asyncio.to_thread(containers.compose, "down")
    await asyncio.to_thread(containers.compose, "up", "--detach", "--wait")
    async with ReadingClient(containers.target, "room-busy-1", from_start=True) as reader:
        assert reader.sequences == before
    assert before
