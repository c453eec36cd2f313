"""The history service's parts as its tests put them together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import redis

from history.leases import Leases, replica_name
from history.outbox_reader import Batch, OutboxReader
from history.persist_script import Outcome, Persister
from history.persist_worker import PERSISTING, REDIS, PersistWorker
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.health import Health
from notecast_runtime.keyspace import ages_key, heads_key, log_key, partition_of
from notecast_runtime.redis.client import Redis, connect
from notecast_runtime.redis.epoch_guard import EpochGuard
from tests.support.outbox_writer import AcceptedNote
from tests.support.waiting import eventually

TIMEOUT_SECONDS = 1.0
AGE_SECONDS = 1_000
REMOVING = {
    "retention_seconds": AGE_SECONDS,
    "retention_sweep_seconds": 0.3,
    "outbox_trim_margin_seconds": 0,
}
"""Settings of a service that removes what is so old, soon."""


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    """A client such as the service uses, with a short deadline."""
    client = connect(url, EpochGuard(), TIMEOUT_SECONDS)
    try:
        yield client
    finally:
        await client.aclose()


def quick_reader(client: Redis, batch_notes: int = 32) -> OutboxReader:
    """Blocks so shortly that a worker stops at once."""
    return OutboxReader(client, batch_notes=batch_notes, block_seconds=0.05)


def leases(client: Redis, lease_seconds: float = 3) -> Leases:
    """Those of a replica of its own."""
    return Leases(client, replica=replica_name(), lease_seconds=lease_seconds)


def persister(
    client: Redis,
    retention_notes: int = 10_000,
    trim_margin_seconds: float = 60,
) -> Persister:
    """With the service's own defaults."""
    return Persister(
        client,
        retention_notes=retention_notes,
        outbox_trim_margin_seconds=trim_margin_seconds,
    )


class HeldPersister(Persister):
    """Holds every batch back until it is let go, as a worker that is paused with it in hand."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client, retention_notes=10_000, outbox_trim_margin_seconds=60)
        self.held = asyncio.Event()
        self.go_on = asyncio.Event()
        self.outcomes: list[Outcome] = []

    async def persist(self, batches: Sequence[Batch], *, make_room: bool = False) -> list[Outcome]:
        self.held.set()
        await self.go_on.wait()
        outcomes = await super().persist(batches, make_room=make_room)
        self.outcomes += outcomes
        return outcomes


def readiness() -> Health:
    """What a worker reports to."""
    return Health([], [REDIS, PERSISTING])


def worker(
    client: Redis,
    *,
    persister: Persister,
    reader: OutboxReader | None = None,
    health: Health | None = None,
    lease_seconds: float = 3,
) -> PersistWorker:
    """A replica's worker, with a seam for each of its parts."""
    return PersistWorker(
        leases(client, lease_seconds),
        reader or quick_reader(client),
        persister,
        health or readiness(),
    )


@asynccontextmanager
async def at_work(subject: PersistWorker) -> AsyncIterator[None]:
    """Lets a worker run meanwhile; it has stopped in an orderly way afterwards."""
    task = asyncio.create_task(subject.run())
    try:
        yield
    finally:
        subject.stop()
        async with asyncio.timeout(10):
            await task


@asynccontextmanager
async def persisting(client: Redis, **options: Any) -> AsyncIterator[Health]:  # noqa: ANN401
    """A worker at work; `options` are those of `persister`. Gives its readiness."""
    health = readiness()
    async with at_work(worker(client, persister=persister(client, **options), health=health)):
        yield health


async def persist_all(client: Redis, partition: int, **options: Any) -> None:  # noqa: ANN401
    """Persists what a partition's outbox holds, without a worker; `options` as above."""
    source, target = quick_reader(client), persister(client, **options)
    while batches := (await source.read(await source.positions([partition]))).batches:
        await target.persist(batches)


def neighbour_of(room: str) -> str:
    """Another room of the same partition."""
    return next(other for other in map(str, count()) if partition_of(other) == partition_of(room))


def stranger_to(room: str) -> str:
    """A room of another partition."""
    return next(other for other in map(str, count()) if partition_of(other) != partition_of(room))


def grow_old(
    client: redis.Redis,
    partition: int,
    seconds: float,
    marks_key: Callable[[int], str] = ages_key,
) -> None:
    """Lets time pass since each mark of how far a partition was persisted."""
    key = marks_key(partition)
    marks: Any = client.lrange(key, 0, -1)
    for index, mark in enumerate(marks):
        at, position = mark.decode().split()
        client.lset(key, index, f"{int(at) - round(seconds * 1000)} {position}")


async def is_forgotten(store: redis.Redis, room: str) -> None:
    """Lets the room's notes grow too old, once they are persisted and a sweep has seen them."""
    partition = partition_of(room)
    await eventually(
        lambda: store.exists(log_key(room)) and store.llen(ages_key(partition)), "a sweep was here"
    )

    def left() -> bool:
        grow_old(store, partition, AGE_SECONDS)
        return not store.hexists(heads_key(partition), room)

    await eventually(left, f"{room} is forgotten")
    assert not store.exists(log_key(room))


def logged(client: redis.Redis, room: str) -> list[tuple[int, bytes]]:
    """What the room's stream holds: sequences and notes."""
    entries: Any = client.xrange(log_key(room))
    return [(int(entry_id.split(b"-")[0]), fields[b"n"]) for entry_id, fields in entries]


def as_logged(accepted: list[AcceptedNote]) -> list[tuple[int, bytes]]:
    """What the room's stream is to hold of accepted notes."""
    return [(note.sequence, note.note) for note in accepted]


def as_replayed(accepted: list[AcceptedNote]) -> list[LoggedNote]:
    """What a reader is to be given of accepted notes."""
    return [
        LoggedNote(epoch=n.epoch, sequence=n.sequence, note=n.note, floor=n.floor) for n in accepted
    ]
