"""Where rooms stand: what a script says of a few, and plain commands of many, is the same."""

from collections.abc import AsyncIterator, Callable
from importlib.resources import files

import pytest

from chat_gateway.log.positions import Head, PartitionHeads
from chat_gateway.store.heads import Heads, PartitionHeadsQuery
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    epoch_key,
    heads_key,
    outbox_key,
    partition_of,
)
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.client import Redis, connect
from notecast_runtime.redis.epoch_guard import EpochGuard
from tests.support.valkey import ValkeyProcess

ROOM = "lobby"
PARTITION = partition_of(ROOM)
QUIET = next(f"quiet-{n}" for n in range(10_000) if partition_of(f"quiet-{n}") == PARTITION)


@pytest.fixture
async def redis(valkey: ValkeyProcess) -> AsyncIterator[Redis]:
    client = connect(valkey.url, EpochGuard(), 5)
    await client.ping()  # the guard makes the epochs
    yield client
    await client.aclose()


@pytest.fixture
def heads(redis: Redis) -> Heads:
    return Heads(redis)


@pytest.fixture
def query() -> PartitionHeadsQuery:
    return PartitionHeadsQuery(PARTITION, [ROOM, QUIET])


async def answer_of(heads: Heads, query: PartitionHeadsQuery) -> PartitionHeads:
    (answer,) = await heads.partition_heads([query])
    assert isinstance(answer, PartitionHeads)
    return answer


async def test_a_script_and_plain_commands_say_the_same(
    redis: Redis, heads: Heads, query: PartitionHeadsQuery
) -> None:
    await redis.hset(heads_key(PARTITION), ROOM, 7)
    await redis.xadd(outbox_key(PARTITION), {"n": b"a note"}, id="12-3")
    found = await answer_of(heads, query)
    assert found.head(0).sequence == 7
    assert found.head(1).sequence == 0
    assert found.outbox_id == OutboxId(12, 3)
    assert [found.head(0), found.head(1)] == [*(await heads.read([ROOM, QUIET])).values()]


async def test_both_tell_a_room_s_newest_note_from_the_floor(
    redis: Redis, heads: Heads, query: PartitionHeadsQuery
) -> None:
    await answer_of(heads, query)  # begins an epoch
    await redis.hset(heads_key(PARTITION), mapping={ROOM: 7, FLOOR_FIELD: 40})
    found = await answer_of(heads, query)
    assert [found.head(0)[1:4:2], found.head(1)[1:4:2]] == [(7, False), (40, True)]
    assert [found.head(0), found.head(1)] == [*(await heads.read([ROOM, QUIET])).values()]
    for index, room in enumerate((ROOM, QUIET)):
        past = (await heads.epoch_history(room)).head
        assert past[1:4:2] == found.head(index)[1:4:2]


async def test_an_outbox_without_an_entry_has_all_that_comes_after_its_beginning(
    heads: Heads, query: PartitionHeadsQuery
) -> None:
    found = await answer_of(heads, query)
    assert (found.outbox_id, found.head(0).sequence) == (OutboxId(0, 0), 0)


async def test_a_partition_whose_data_have_vanished_is_in_an_epoch_again_by_the_answer(
    redis: Redis, heads: Heads, query: PartitionHeadsQuery
) -> None:
    await redis.flushall()
    found = await answer_of(heads, query)
    assert int(await redis.get(epoch_key(PARTITION)) or 0) == found.epoch
    assert (await heads.read([ROOM]))[ROOM] == Head(found.epoch, 0)


@pytest.mark.parametrize("key", [epoch_key, heads_key, outbox_key])
async def test_a_key_of_the_wrong_type_is_the_fault_of_its_partition_alone(
    redis: Redis, heads: Heads, query: PartitionHeadsQuery, key: Callable[[int], str]
) -> None:
    other = "another room"
    assert partition_of(other) != PARTITION
    await redis.delete(key(PARTITION))
    await redis.sadd(key(PARTITION), "not this")
    found = await heads.partition_heads([query, PartitionHeadsQuery(partition_of(other), [other])])
    assert isinstance(found[0], RedisUnavailableError)
    assert isinstance(found[1], PartitionHeads)


@pytest.mark.parametrize("name", ["accept.lua", "heads.lua"])
def test_an_epoch_begins_in_2020_at_the_earliest_whatever_the_clock_says(
    valkey: ValkeyProcess, name: str
) -> None:
    script = files("chat_gateway.store").joinpath(name).read_text()
    of_2001 = script.replace("redis.call('TIME')", "{1000000000, 0}")
    assert of_2001 != script
    partition = partition_of("lobby")
    keys = [epoch_key(partition), heads_key(partition), outbox_key(partition), "unused"]
    with valkey.client() as redis:
        redis.eval(of_2001, len(keys), *keys, "lobby", "channel", "", "", 1, 0)
        assert redis.get(epoch_key(partition)) == b"1577836800000"
