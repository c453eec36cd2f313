"""A new epoch begins when another run of Redis answers, before anything is done on it."""

from notecast_runtime.epoch_guard import EpochGuard
from notecast_runtime.keyspace import (
    PARTITIONS,
    epoch_end_prefix,
    epoch_key,
    epochs_key,
    heads_key,
    run_key,
)
from notecast_runtime.redis_client import connect
from tests.support.valkey import ValkeyProcess

LAST = PARTITIONS - 1


async def ping(valkey: ValkeyProcess, guard: EpochGuard) -> None:
    redis = connect(valkey.url, guard, 5)
    await redis.ping()
    await redis.aclose()


def begin(valkey: ValkeyProcess) -> None:
    """The last partition as if notes had been accepted in it; all others are empty."""
    with valkey.client() as redis:
        redis.set(epoch_key(LAST), 1_700_000_000_000)
        redis.hset(heads_key(LAST), mapping={"lobby": 7, "den": 2})


async def test_the_same_run_of_redis_keeps_its_epoch(valkey: ValkeyProcess) -> None:
    await ping(valkey, EpochGuard())
    begin(valkey)
    await ping(valkey, EpochGuard())
    with valkey.client() as redis:
        assert redis.get(epoch_key(LAST)) == b"1700000000000"


async def test_another_run_begins_an_epoch_and_remembers_where_rooms_stood(
    valkey: ValkeyProcess,
) -> None:
    guard = EpochGuard()
    await ping(valkey, guard)
    begin(valkey)
    valkey.stop()
    valkey.start()
    await ping(valkey, guard)
    with valkey.client() as redis:
        epoch = redis.get(epoch_key(LAST))
        assert epoch > b"1700000000000"
        assert redis.lrange(epochs_key(LAST), 0, -1) == [b"1700000000000"]
        ended = epoch_end_prefix(LAST) + "1700000000000"
        assert redis.hgetall(ended) == {b"lobby": b"7", b"den": b"2"}
        assert redis.hgetall(heads_key(LAST)) == {b"lobby": b"7", b"den": b"2"}
    await ping(valkey, EpochGuard())
    with valkey.client() as redis:
        assert redis.get(epoch_key(LAST)) == epoch


async def test_a_partition_without_an_epoch_is_left_without_one(valkey: ValkeyProcess) -> None:
    await ping(valkey, EpochGuard())
    with valkey.client() as redis:
        assert {redis.get(epoch_key(partition)) for partition in range(PARTITIONS)} == {None}
        assert redis.exists(*(run_key(partition) for partition in range(PARTITIONS))) == PARTITIONS


async def test_only_so_many_epochs_are_remembered(valkey: ValkeyProcess) -> None:
    with valkey.client() as redis:
        begin(valkey)
        for _ in range(20):
            redis.set(run_key(LAST), "another")
            await ping(valkey, EpochGuard())
        epochs = redis.lrange(epochs_key(LAST), 0, -1)
        assert len(epochs) == 16
        assert epochs == sorted(epochs)
        ends = redis.keys(epoch_end_prefix(LAST).replace("{", "[{]").replace("}", "[}]") + "*")
        assert len(ends) == 16


async def test_who_stopped_half_way_is_made_up_for_by_the_next(valkey: ValkeyProcess) -> None:
    begin(valkey)
    await ping(valkey, EpochGuard())
    with valkey.client() as redis:
        redis.set(epoch_key(7), 1_700_000_000_000)
        # Another run, and partition 7 alone was seen to before its process died.
        redis.set(run_key(LAST), "another")
        redis.set(run_key(8), "another")
        before = redis.get(epoch_key(LAST))
        await ping(valkey, EpochGuard())
        assert redis.get(epoch_key(LAST)) > before
        assert redis.get(epoch_key(7)) == b"1700000000000"


async def test_a_run_that_comes_back_with_what_another_one_wrote_begins_an_epoch(
    valkey: ValkeyProcess,
) -> None:
    guard = EpochGuard()
    begin(valkey)
    await ping(valkey, guard)
    with valkey.client() as redis:
        # Demoted and promoted again, the same process holds the data of who served meanwhile.
        before = redis.get(epoch_key(LAST))
        for partition in range(PARTITIONS):
            redis.set(run_key(partition), "the one that served meanwhile")
        await ping(valkey, guard)
        assert redis.get(epoch_key(LAST)) > before
