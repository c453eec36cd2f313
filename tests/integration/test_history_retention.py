"""What retention by age promises."""

import asyncio
import time

import pytest
import redis

from history.retention import RETENTION, AgeRetention
from notecast_runtime.health import Health
from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    ages_key,
    epoch_end_prefix,
    epochs_key,
    heads_key,
    log_key,
    outbox_key,
    partition_of,
)
from notecast_runtime.redis.client import Redis
from tests.support.history_parts import (
    as_logged,
    grow_old,
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


def retention(client: Redis, history_behind: float = 0) -> AgeRetention:
    """Removes what is older than 100 s.

    Args:
        client: to Redis.
        history_behind: how many seconds the clock of history is behind Redis's.
    """
    return AgeRetention(
        client,
        Health([], [RETENTION]),
        max_age_seconds=100,
        sweep_seconds=0.5,
        clock=lambda: time.time() - history_behind,
    )


AN_HOUR = 3_600_000


def in_milliseconds(milliseconds: int) -> int:
    return int(time.time() * 1000) + milliseconds


async def persisted_long_ago(client: Redis, store: redis.Redis) -> None:
    """What was accepted so far is persisted, seen by a sweep, and grows older than it may."""
    await persist_all(client, PARTITION)
    await retention(client).sweep(PARTITION)
    grow_old(store, PARTITION, seconds=200)


async def test_notes_older_than_retention_are_removed_and_younger_ones_stay(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept_all(ROOM, ["old"] * 300)  # more than one step removes
    await persisted_long_ago(client, store)
    young = [writer.accept(ROOM), writer.accept(ROOM)]
    all_young = [writer.accept(NEIGHBOUR)]
    await persist_all(client, PARTITION)
    in_outbox = store.xlen(outbox_key(PARTITION))
    await retention(client).sweep(PARTITION)
    assert logged(store, ROOM) == as_logged(young)
    assert logged(store, NEIGHBOUR) == as_logged(all_young)
    assert store.xlen(outbox_key(PARTITION)) == in_outbox, "retention leaves the outbox alone"


async def test_notes_whose_ids_are_ahead_of_the_clock_grow_old_like_others(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept(ROOM, at=in_milliseconds(AN_HOUR))  # Redis's clock was ahead, and was set back
    await persisted_long_ago(client, store)
    young = [writer.accept(ROOM, at=in_milliseconds(AN_HOUR))]
    await persist_all(client, PARTITION)
    await retention(client).sweep(PARTITION)
    assert logged(store, ROOM) == as_logged(young)


async def test_a_time_that_was_noted_while_the_clock_was_ahead_counts_from_now(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    young = [writer.accept(ROOM)]
    await persist_all(client, PARTITION)
    await retention(client).sweep(PARTITION)
    grow_old(store, PARTITION, seconds=-3_600)
    await retention(client).sweep(PARTITION)  # the clock is right again
    assert logged(store, ROOM) == as_logged(young)
    grow_old(store, PARTITION, seconds=200)
    await retention(client).sweep(PARTITION)
    assert logged(store, ROOM) == []


@pytest.mark.parametrize("behind", [300, -300], ids=["Redis's clock", "history's clock"])
async def test_a_clock_that_jumps_ahead_removes_no_note_before_its_time(
    client: Redis, store: redis.Redis, writer: OutboxWriter, behind: float
) -> None:
    """Redis's may do so in a failover, to a server whose clock is wrong."""
    young = [writer.accept(ROOM)]
    await persist_all(client, PARTITION)
    await retention(client).sweep(PARTITION)
    grow_old(store, PARTITION, seconds=max(behind, 0))  # by the clock that has jumped
    await retention(client, behind).sweep(PARTITION)
    assert logged(store, ROOM) == as_logged(young)
    grow_old(store, PARTITION, seconds=98)
    await retention(client, behind).sweep(PARTITION)
    assert logged(store, ROOM) == as_logged(young)
    grow_old(store, PARTITION, seconds=3)
    await retention(client, behind).sweep(PARTITION)
    assert logged(store, ROOM) == []


async def test_where_clocks_differ_notes_are_kept_for_longer_and_what_is_remembered_is_bounded(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    accepted = []
    for _ in range(200):
        accepted.append(writer.accept(ROOM))
        await persist_all(client, PARTITION)
        await retention(client, history_behind=AN_HOUR / 1000).sweep(PARTITION)
        grow_old(store, PARTITION, seconds=2)
    assert logged(store, ROOM) == as_logged(accepted)
    assert store.llen(ages_key(PARTITION)) <= 130
    await retention(client).sweep(PARTITION)  # the clocks are right again
    assert len(logged(store, ROOM)) < len(accepted)


async def test_what_is_remembered_of_the_past_is_bounded(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    for _ in range(80):
        writer.accept(ROOM)
        await persist_all(client, PARTITION)
        await retention(client).sweep(PARTITION)
        grow_old(store, PARTITION, seconds=2)
    assert store.llen(ages_key(PARTITION)) <= 66
    assert 45 <= len(logged(store, ROOM)) <= 55, "one each 2 s, which has 100 s to live"


async def test_a_room_whose_notes_are_all_too_old_leaves_redis(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept_all(ROOM, ["old"] * 5)
    writer.accept_all(NEIGHBOUR, ["old"] * 3)
    ended = f"{epoch_end_prefix(PARTITION)}7"
    store.rpush(epochs_key(PARTITION), 7)
    store.hset(ended, mapping={ROOM: 2, NEIGHBOUR: 1, FLOOR_FIELD: 0})
    await persisted_long_ago(client, store)
    await retention(client).sweep(PARTITION)
    assert not store.exists(log_key(ROOM), log_key(NEIGHBOUR))
    assert store.hkeys(heads_key(PARTITION)) == store.hkeys(ended) == [FLOOR_FIELD.encode()]
    floor = int(store.hget(heads_key(PARTITION), FLOOR_FIELD) or 0)
    assert floor > 5, "above every sequence of either room"


async def test_a_room_with_a_note_that_is_not_persisted_yet_stays(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept(ROOM)
    await persisted_long_ago(client, store)
    young = [writer.accept(ROOM)]
    await retention(client).sweep(PARTITION)
    assert store.hget(heads_key(PARTITION), ROOM) == b"2"
    await persist_all(client, PARTITION)
    assert logged(store, ROOM) == as_logged(young)


async def test_rooms_that_cannot_be_trimmed_keep_no_other_from_it(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept(ROOM)
    writer.accept(NEIGHBOUR)
    await persisted_long_ago(client, store)
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
        writer.accept(ROOM)
        await persisted_long_ago(client, store)
        await eventually(lambda: not logged(store, ROOM), "the old note is removed")
    finally:
        sweeping.cancel()
        ended, _ = await asyncio.wait({sweeping}, timeout=5)
    assert ended, "a cancelled sweep ends"
