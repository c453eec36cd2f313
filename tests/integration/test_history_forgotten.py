"""What is remembered of rooms that have left Redis: whether who stands at a place missed a note."""

from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from chat_gateway.store.heads import Heads
from history.outbox_tail import OutboxTail
from history.replay import Replayer
from history.retention import RETENTION, AgeRetention
from history.room_log import RoomLog
from notecast_runtime.health import Health
from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    epoch_end_prefix,
    epoch_key,
    epochs_key,
    forgotten_before_key,
    forgotten_field,
    forgotten_key,
    heads_key,
    log_key,
    partition_of,
)
from notecast_runtime.redis.client import Redis
from tests.support.history_parts import grow_old, neighbour_of, persist_all
from tests.support.outbox_writer import OutboxWriter

ROOM = "kitchen"
PARTITION = partition_of(ROOM)
NEIGHBOUR = neighbour_of(ROOM)
REMEMBERED = 3
KEYS = (forgotten_key(PARTITION), forgotten_before_key(PARTITION))


class Forgetting:
    """Has all rooms of a partition forgotten.

    Args:
        client: as the service uses it.
        store: the same Redis.
        remembered: as of AgeRetention.
    """

    def __init__(self, client: Redis, store: redis.Redis, remembered: int = REMEMBERED) -> None:
        self._client = client
        self._store = store
        self._retention = AgeRetention(
            client,
            Health([], [RETENTION]),
            max_age_seconds=100,
            sweep_seconds=1,
            forgotten_remembered=remembered,
        )

    async def forget_all(self) -> int:
        """Lets all notes there are grow too old; returns the floor after that."""
        await persist_all(self._client, PARTITION)
        await self._retention.sweep(PARTITION)
        grow_old(self._store, PARTITION, seconds=200)
        await self._retention.sweep(PARTITION)
        assert self._store.hkeys(heads_key(PARTITION)) == [FLOOR_FIELD.encode()]
        return self.floor

    @property
    def floor(self) -> int:
        """The partition's."""
        return int(self._store.hget(heads_key(PARTITION), FLOOR_FIELD) or 0)


@pytest.fixture
async def forgetting(client: Redis, store: redis.Redis) -> Forgetting:
    """With a short memory; its connection has met the guard, before there is anything."""
    await client.ping()
    return Forgetting(client, store)


async def misses_nothing(client: Redis, after: int) -> bool:
    """Whether who stands there is told of no break."""
    replayer = Replayer(RoomLog(client), OutboxTail(client))
    responses = [response async for response in replayer.replay(ROOM, after, 0)]
    assert not any(response.nothing_missed for response in responses[1:])
    return responses[0].nothing_missed or responses[0].first_remaining == after + 1


async def places_without_a_break(client: Redis, places: range) -> list[int]:
    """At which of the places who stands there is told of none."""
    return [place for place in places if await misses_nothing(client, place)]


async def test_whoever_saw_the_last_note_missed_nothing_and_whoever_did_not_did(
    client: Redis, store: redis.Redis, writer: OutboxWriter, forgetting: Forgetting
) -> None:
    writer.accept_all(ROOM, ["one", "two", "three"])
    writer.accept_all(NEIGHBOUR, ["theirs"] * 6)
    floor = await forgetting.forget_all()
    seen_all = [*range(3, floor + 1)]
    assert await places_without_a_break(client, range(floor + 1)) == seen_all
    first = writer.accept(ROOM, "four")
    assert (first.sequence, first.floor) == (floor + 1, floor)
    assert await places_without_a_break(client, range(floor + 1)) == seen_all
    await persist_all(client, PARTITION)
    assert await places_without_a_break(client, range(floor + 1)) == seen_all
    writer.accept(ROOM, "five")
    await persist_all(client, PARTITION)
    assert await places_without_a_break(client, range(floor + 1)) == seen_all
    store.xtrim(log_key(ROOM), maxlen=1, approximate=False)  # the first note since is gone, too
    assert await places_without_a_break(client, range(floor + 2)) == [floor + 1]


async def test_a_room_that_never_had_a_note_has_lost_none_however_high_the_floor(
    client: Redis, writer: OutboxWriter, forgetting: Forgetting
) -> None:
    for _ in range(REMEMBERED):
        writer.accept_all(NEIGHBOUR, ["theirs"] * 3)
        floor = await forgetting.forget_all()
        assert await places_without_a_break(client, range(floor + 1)) == [*range(floor + 1)]
    writer.accept(ROOM)
    assert await places_without_a_break(client, range(floor + 1)) == [*range(floor + 1)]


async def test_a_room_is_remembered_while_so_many_others_are_forgotten_and_then_no_longer(
    client: Redis, store: redis.Redis, writer: OutboxWriter, forgetting: Forgetting
) -> None:
    others = [name for name in map(str, range(5_000)) if partition_of(name) == PARTITION]
    writer.accept_all(ROOM, ["one", "two"])
    await forgetting.forget_all()
    for other in others[:REMEMBERED]:
        writer.accept(other)
        await forgetting.forget_all()
        assert await places_without_a_break(client, range(3)) == [2]
    for other in others[REMEMBERED : 4 * REMEMBERED]:
        writer.accept(other)
        floor = await forgetting.forget_all()
        assert sum(store.hlen(key) for key in KEYS) <= 2 * (REMEMBERED + 1)
    good = await places_without_a_break(client, range(floor + 1))
    assert good == [*range(good[0], floor + 1)]
    raised = 2  # by each of them: its note, and one more
    assert floor - 2 * REMEMBERED * raised <= good[0] <= floor - REMEMBERED * raised


async def test_a_later_generation_hides_no_loss(
    client: Redis, store: redis.Redis, writer: OutboxWriter, forgetting: Forgetting
) -> None:
    writer.accept_all(ROOM, ["one", "two"])
    await forgetting.forget_all()
    store.rename(*KEYS)
    assert await places_without_a_break(client, range(3)) == [2]
    writer.accept_all(NEIGHBOUR, ["theirs"])
    await forgetting.forget_all()
    assert await places_without_a_break(client, range(3)) == [2]
    store.rename(*KEYS)
    assert await places_without_a_break(client, range(4)) == [3], "3 was the floor"


async def test_of_a_room_that_lived_through_the_end_of_an_epoch_that_is_known_no_more(
    client: Redis, store: redis.Redis, writer: OutboxWriter, forgetting: Forgetting
) -> None:
    """Where it stood when earlier epochs ended; cursors of the present one are as good as ever."""
    epoch = 1_700_000_000_000
    store.set(epoch_key(PARTITION), epoch)
    writer.accept_all(ROOM, ["one", "two"])
    ends: dict[int, Any] = {
        epoch - 3: {FLOOR_FIELD: 9},
        epoch - 2: {ROOM: 1, FLOOR_FIELD: 9},
        epoch - 1: {FLOOR_FIELD: 9},
    }
    for ended, heads in ends.items():
        store.rpush(epochs_key(PARTITION), ended)
        store.hset(f"{epoch_end_prefix(PARTITION)}{ended}", mapping=heads)
    assert [end.end for end in (await Heads(client).epoch_history(ROOM)).ends] == [9, 1, 9]
    floor = await forgetting.forget_all()
    assert await places_without_a_break(client, range(floor + 1)) == [*range(2, floor + 1)]
    for generation in range(2):
        told = (await Heads(client).epoch_history(ROOM)).ends
        assert [end.end for end in told] == [0, 0, 9], generation
        if not generation:
            store.rename(*KEYS)
    assert [end.end for end in (await Heads(client).epoch_history(NEIGHBOUR)).ends] == [9, 9, 9]


async def test_nothing_is_known_to_be_left_of_an_epoch_once_the_room_is_remembered_no_more(
    client: Redis, store: redis.Redis, writer: OutboxWriter, forgetting: Forgetting
) -> None:
    """The floor at the end of that epoch may be above what the room had then."""
    epoch = 1_700_000_000_000
    store.set(epoch_key(PARTITION), epoch)
    ended = f"{epoch_end_prefix(PARTITION)}{epoch - 1}"
    store.rpush(epochs_key(PARTITION), epoch - 1)
    store.hset(ended, mapping={ROOM: 1, NEIGHBOUR: 2, FLOOR_FIELD: 9})
    store.hset(heads_key(PARTITION), mapping={ROOM: 1, FLOOR_FIELD: 9})
    writer.accept(ROOM)
    names = (f"other-{number}" for number in range(50_000))
    others = (name for name in names if partition_of(name) == PARTITION)
    await forgetting.forget_all()
    told = [(await Heads(client).epoch_history(ROOM)).ends[0].end]
    while any(store.hexists(key, forgotten_field(ROOM)) for key in KEYS):
        writer.accept(next(others))
        await forgetting.forget_all()
        told.append((await Heads(client).epoch_history(ROOM)).ends[0].end)
    assert set(told) == {0}
    assert len(told) > REMEMBERED
    assert [end.end for end in (await Heads(client).epoch_history(NEIGHBOUR)).ends] == [2], (
        "it is there"
    )


async def test_where_nothing_is_remembered_whoever_stands_below_the_floor_is_told(
    client: Redis, store: redis.Redis, writer: OutboxWriter, forgetting: Forgetting
) -> None:
    """As where a floor was there before; and where a key holds something else."""
    store.hset(heads_key(PARTITION), FLOOR_FIELD, "4")
    assert await places_without_a_break(client, range(5)) == [4]
    writer.accept(NEIGHBOUR)
    floor = await forgetting.forget_all()
    assert await places_without_a_break(client, range(floor + 1)) == [*range(4, floor + 1)]
    for key in KEYS:
        store.delete(key)
        store.set(key, "no hash")
        writer.accept(NEIGHBOUR)
        floor = await forgetting.forget_all()
        with capture_logs() as logs:
            assert await places_without_a_break(client, range(floor + 1)) == [floor]
        assert "forgotten_rooms_unreadable" in {line["event"] for line in logs}
        store.delete(key)


async def test_a_name_however_long_costs_what_a_short_one_costs(
    store: redis.Redis, writer: OutboxWriter, forgetting: Forgetting
) -> None:
    writer.accept(ROOM)
    await forgetting.forget_all()
    assert store.hget(KEYS[0], forgotten_field(ROOM)) == b"1"
    assert len(forgotten_field("r" * 10_000)) == len(forgotten_field("r")) == 16
