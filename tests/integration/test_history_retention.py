"""What retention by age promises."""

import asyncio
import time
from typing import Any

import redis

from history.retention import RETENTION, AgeRetention
from notecast_runtime.health import Health
from notecast_runtime.keyspace import log_key, outbox_key, partition_of
from notecast_runtime.redis_client import Redis
from tests.support.history_parts import (
    as_logged,
    logged,
    neighbour_of,
    persist_all,
)
from tests.support.outbox_writer import OutboxWriter
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

ROOM = "kitchen"
PARTITION = partition_of(ROOM)
NEIGHBOUR = neighbour_of(ROOM)


def retention(client: Redis) -> AgeRetention:
    return AgeRetention(client, Health([], [RETENTION]), max_age_seconds=100, sweep_seconds=0.5)


def milliseconds_ago(seconds: int) -> int:
    return int(time.time() * 1000) - seconds * 1000


async def test_notes_older_than_retention_are_removed_and_younger_ones_stay(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    for _ in range(300):  # more than one step removes
        writer.accept(ROOM, at=milliseconds_ago(200))
    young = [writer.accept(ROOM), writer.accept(ROOM)]
    all_young = [writer.accept(NEIGHBOUR)]
    await persist_all(client, PARTITION)
    in_outbox = store.xlen(outbox_key(PARTITION))
    await retention(client).sweep(PARTITION)
    assert logged(store, ROOM) == as_logged(young)
    assert logged(store, NEIGHBOUR) == as_logged(all_young)
    assert store.xlen(outbox_key(PARTITION)) == in_outbox, "retention leaves the outbox alone"


async def test_a_room_whose_notes_are_all_too_old_keeps_its_stream_and_last_id(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    for _ in range(5):
        writer.accept(ROOM, at=milliseconds_ago(200))
    await persist_all(client, PARTITION)
    await retention(client).sweep(PARTITION)
    facts: Any = store.xinfo_stream(log_key(ROOM))
    assert facts["length"] == 0
    assert facts["last-generated-id"] == b"5-0"


async def test_rooms_that_cannot_be_trimmed_keep_no_other_from_it(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept(ROOM, at=milliseconds_ago(200))
    writer.accept(NEIGHBOUR, at=milliseconds_ago(200))
    await persist_all(client, PARTITION)
    store.delete(log_key(ROOM))
    store.set(log_key(ROOM), "no stream")
    await retention(client).sweep(PARTITION)
    assert logged(store, NEIGHBOUR) == []


async def test_sweeping_goes_on_by_itself_after_redis_was_away(
    client: Redis, store: redis.Redis, valkey: ValkeyProcess, writer: OutboxWriter
) -> None:
    sweeping = asyncio.create_task(retention(client).run())
    try:
        valkey.kill()
        valkey.start()
        writer.accept(ROOM, at=milliseconds_ago(200))
        await persist_all(client, PARTITION)
        await eventually(lambda: not logged(store, ROOM), "the old note is removed")
    finally:
        sweeping.cancel()
        ended, _ = await asyncio.wait({sweeping}, timeout=5)
    assert ended, "a cancelled sweep ends"
