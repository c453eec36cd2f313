"""A new epoch begins when another run of Redis answers, before anything is done on it."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio
from redis.exceptions import ConnectionError as RedisConnectionError

from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    PARTITIONS,
    epoch_end_prefix,
    epoch_key,
    epochs_key,
    heads_key,
    outbox_key,
    partition_of,
    run_key,
)
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.client import connect
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.fencing import Begin
from tests.support.services import running_gateway
from tests.support.valkey import ValkeyProcess

LAST = PARTITIONS - 1

Ping = Callable[[ValkeyProcess, EpochGuard], Awaitable[None]]


async def ping_by_redis_py(valkey: ValkeyProcess, guard: EpochGuard) -> None:
    redis = connect(valkey.url, guard, 5)
    await redis.ping()
    await redis.aclose()


async def ping_by_bare_connection(valkey: ValkeyProcess, guard: EpochGuard) -> None:
    async with RedisConnector(valkey.url, guard, 5).connected() as connection:
        assert await connection.ask([("PING",)]) == [b"PONG"]


@pytest.fixture(params=[ping_by_redis_py, ping_by_bare_connection])
def ping(request: pytest.FixtureRequest) -> Ping:
    """Makes a new connection, and asks something on it."""
    chosen: Ping = request.param
    return chosen


def begin(valkey: ValkeyProcess) -> None:
    """The last partition as if notes had been accepted in it; all others are empty."""
    with valkey.client() as redis:
        redis.set(epoch_key(LAST), 1_700_000_000_000)
        redis.hset(heads_key(LAST), mapping={"lobby": 7, "den": 2})


async def test_the_same_run_of_redis_keeps_its_epoch(valkey: ValkeyProcess, ping: Ping) -> None:
    await ping(valkey, EpochGuard())
    begin(valkey)
    await ping(valkey, EpochGuard())
    with valkey.client() as redis:
        assert redis.get(epoch_key(LAST)) == b"1700000000000"


async def test_another_run_begins_an_epoch_and_remembers_where_rooms_stood(
    valkey: ValkeyProcess, ping: Ping
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


async def test_a_partition_without_an_epoch_is_left_without_one(
    valkey: ValkeyProcess, ping: Ping
) -> None:
    await ping(valkey, EpochGuard())
    with valkey.client() as redis:
        assert {redis.get(epoch_key(partition)) for partition in range(PARTITIONS)} == {None}
        assert redis.exists(*(run_key(partition) for partition in range(PARTITIONS))) == PARTITIONS


async def test_only_so_many_epochs_are_remembered(valkey: ValkeyProcess, ping: Ping) -> None:
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


async def test_the_next_guard_completes_what_one_began_and_did_not_finish(
    valkey: ValkeyProcess, ping: Ping
) -> None:
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
    valkey: ValkeyProcess, ping: Ping
) -> None:
    guard = EpochGuard()
    begin(valkey)
    await ping(valkey, guard)
    with valkey.client() as redis:
        # Demoted and promoted again, the same process holds what the other primary wrote.
        before = redis.get(epoch_key(LAST))
        for partition in range(PARTITIONS):
            redis.set(run_key(partition), "the one that served meanwhile")
        await ping(valkey, guard)
        assert redis.get(epoch_key(LAST)) > before


WRONG = 5


def corrupt(valkey: ValkeyProcess, key: str, value: list[str] | str) -> None:
    """A key of the partition that holds something else."""
    with valkey.client() as redis:
        redis.delete(key)
        if isinstance(value, str):
            redis.set(key, value)
        else:
            redis.rpush(key, *value)


@pytest.mark.parametrize("key", [epoch_key(WRONG), heads_key(WRONG)])
async def test_a_corrupt_partition_is_left_as_it_is_and_the_others_begin_their_epoch(
    valkey: ValkeyProcess, ping: Ping, key: str
) -> None:
    begin(valkey)
    corrupt(valkey, key, ["of", "others"])
    await ping(valkey, EpochGuard())
    with valkey.client() as redis:
        assert redis.lrange(key, 0, -1) == [b"of", b"others"]
        assert redis.get(epoch_key(LAST)) > b"1700000000000"
        # It is seen to as soon as it is mended.
        redis.delete(key)
        redis.set(epoch_key(WRONG), 1_700_000_000_000)
        await ping(valkey, EpochGuard())
        assert redis.get(epoch_key(WRONG)) > b"1700000000000"


async def test_an_epoch_that_is_no_number_is_left_to_the_next_accept(
    valkey: ValkeyProcess, ping: Ping
) -> None:
    corrupt(valkey, epoch_key(WRONG), "yesterday")
    await ping(valkey, EpochGuard())
    with valkey.client() as redis:
        assert redis.get(epoch_key(WRONG)) == b"yesterday"


async def test_a_run_that_can_not_be_read_is_another_run(valkey: ValkeyProcess, ping: Ping) -> None:
    begin(valkey)
    await ping(valkey, EpochGuard())
    with valkey.client() as redis:
        before = redis.get(epoch_key(LAST))
        run = redis.get(run_key(LAST))
        corrupt(valkey, run_key(LAST), ["of", "others"])
        await ping(valkey, EpochGuard())
        assert redis.get(epoch_key(LAST)) > before
        assert redis.get(run_key(LAST)) == run


async def test_an_epoch_begins_also_where_the_past_ones_can_not_be_remembered(
    valkey: ValkeyProcess, ping: Ping
) -> None:
    begin(valkey)
    corrupt(valkey, epochs_key(LAST), "of others")
    await ping(valkey, EpochGuard())
    with valkey.client() as redis:
        epoch = redis.get(epoch_key(LAST))
        assert epoch > b"1700000000000"
        await ping(valkey, EpochGuard())
        assert redis.get(epoch_key(LAST)) == epoch
        assert redis.get(epochs_key(LAST)) == b"of others"


@pytest.mark.parametrize("key", [epoch_key, heads_key])
async def test_only_the_corrupt_partition_s_rooms_take_no_notes(
    valkey: ValkeyProcess, key: Callable[[int], str]
) -> None:
    corrupt(valkey, key(partition_of("corrupt")), ["of", "others"])
    async with running_gateway(valkey.url) as gateway:
        for _ in range(2):
            with pytest.raises(aio.AioRpcError) as error:
                await gateway.send("corrupt", "refused")
            assert error.value.code() is grpc.StatusCode.UNAVAILABLE
            assert partition_of("lobby") != partition_of("corrupt")
            await gateway.send("lobby", "stored")


async def test_an_address_that_leads_to_several_servers_is_refused_and_begins_no_more_epochs(
    valkey: ValkeyProcess, tmp_path: Path, ping: Ping
) -> None:
    with ValkeyProcess(tmp_path / "other") as other:
        guard = EpochGuard()
        for server in (valkey, other):
            begin(server)

        async def take_turns() -> None:
            for _ in range(10):
                await ping(valkey, guard)
                await ping(other, guard)

        with pytest.raises(RedisConnectionError, match="several servers"):
            await take_turns()
        with valkey.client() as redis:
            epoch = redis.get(epoch_key(LAST))
            with pytest.raises(RedisConnectionError, match="several servers"):
                await take_turns()
            assert redis.get(epoch_key(LAST)) == epoch


async def test_data_that_lack_what_was_seen_begin_an_epoch_later_than_any_that_was(
    valkey: ValkeyProcess, ping: Ping
) -> None:
    guard = EpochGuard()
    await ping(valkey, guard)
    begin(valkey)
    await ping(valkey, guard)
    ahead = 4_000_000_000_000
    with valkey.client() as redis:
        redis.set(epoch_key(LAST), ahead)  # by a Redis whose clock was ahead
        await ping(valkey, guard)
        assert redis.get(epoch_key(LAST)) == b"%d" % ahead
        redis.set(epoch_key(LAST), 1_700_000_000_000)
        await ping(valkey, EpochGuard())  # who has not seen it can't know
        assert redis.get(epoch_key(LAST)) == b"1700000000000"
        await ping(valkey, guard)
        assert redis.get(epoch_key(LAST)) == b"%d" % (ahead + 1)


async def test_an_outbox_without_an_entry_that_was_seen_is_of_older_data_unless_it_was_trimmed(
    valkey: ValkeyProcess, ping: Ping
) -> None:
    guard = EpochGuard()
    begin(valkey)
    await ping(valkey, guard)
    outbox = outbox_key(LAST)

    def entry(room: str, sequence: int, outbox_id: str) -> None:
        fields = {"r": room, "e": epoch, "s": sequence, "n": ""}
        redis.xadd(outbox, fields, id=outbox_id)

    with valkey.client() as redis:
        epoch = redis.get(epoch_key(LAST))
        entry("lobby", 7, "10-0")
        entry("lobby", 8, "20-0")
        guard.fence.see(LAST, int(epoch), OutboxId(20, 0))
        await ping(valkey, guard)
        redis.xtrim(outbox, maxlen=0, approximate=False)
        await ping(valkey, guard)
        entry("lobby", 9, "30-0")
        await ping(valkey, guard)
        assert redis.get(epoch_key(LAST)) == epoch
        # What was seen is not there, and what others have written is.
        redis.delete(outbox)
        entry("lobby", 7, "10-0")
        entry("lobby", 8, "40-0")
        entry("lobby", 9, "50-0")
        redis.hset(heads_key(LAST), "lobby", 9)
        await ping(valkey, guard)
        assert redis.get(epoch_key(LAST)) > epoch
        ended = redis.hgetall(epoch_end_prefix(LAST) + epoch.decode())
        assert ended == {b"lobby": b"7", b"den": b"2"}


async def test_of_rooms_that_older_data_may_have_forgotten_nothing_counts_as_common(
    valkey: ValkeyProcess, ping: Ping
) -> None:
    """The floor may have risen since the data parted, over sequences that a client has seen."""
    guard = EpochGuard()
    begin(valkey)
    await ping(valkey, guard)
    outbox = outbox_key(LAST)
    with valkey.client() as redis:
        epoch = redis.get(epoch_key(LAST))
        place = {"e": epoch, "n": ""}
        redis.xadd(outbox, {"r": "den", "s": 2, **place}, id="10-0")
        guard.fence.see(LAST, int(epoch), OutboxId(20, 0))
        redis.hset(heads_key(LAST), mapping={"lobby": 31, "den": 2, FLOOR_FIELD: 30})
        redis.xadd(outbox, {"r": "lobby", "s": 31, "f": 30, **place}, id="40-0")
        await ping(valkey, guard)
        assert redis.get(epoch_key(LAST)) > epoch
        ended = redis.hgetall(epoch_end_prefix(LAST) + epoch.decode())
        assert ended == {b"lobby": b"0", b"den": b"2"}


async def test_whoever_has_seen_another_later_epoch_has_the_common_past_end_where_that_one_began(
    valkey: ValkeyProcess, ping: Ping
) -> None:
    """A process that has not seen it was first: it took the data for those of before a restart."""
    begin(valkey)
    await ping(valkey, EpochGuard())
    outbox, ended = outbox_key(LAST), epoch_end_prefix(LAST)
    with valkey.client() as redis:
        epoch = int(redis.get(epoch_key(LAST)))
        place = {"e": epoch, "n": ""}
        redis.xadd(outbox, {"r": "lobby", "s": 6, **place}, id="10-0")
        redis.xadd(outbox, {"r": "lobby", "s": 7, **place}, id="20-0")
        redis.xadd(outbox, {"r": "hall", "s": 31, "f": 30, **place}, id="30-0")
        redis.hset(heads_key(LAST), mapping={"hall": 31, FLOOR_FIELD: 30})
        redis.set(run_key(LAST), "another")
        await ping(valkey, EpochGuard())
        later = redis.get(epoch_key(LAST))
        stood = {b"lobby": b"7", b"den": b"2", b"hall": b"31", b"": b"30"}
        assert redis.hgetall(f"{ended}{epoch}") == stood
        for entry in ((10, 0), (5, 0), (20, 0)):  # the earliest place counts, in whatever order
            guard = EpochGuard()
            guard.fence.see_begin(LAST, Begin(epoch + 1, epoch, OutboxId(*entry)))
            await ping(valkey, guard)
            common = b"6" if entry == (10, 0) else b"5"
            expected = {b"lobby": common, b"den": b"2", b"hall": b"0"}
            assert redis.hgetall(f"{ended}{epoch}") == expected
        assert redis.get(epoch_key(LAST)) == later


async def test_an_epoch_that_another_connection_saw_begin_is_not_asked_for_what_it_began_without(
    valkey: ValkeyProcess,
) -> None:
    guard = EpochGuard()
    begin(valkey)
    outbox = outbox_key(LAST)
    with valkey.client() as redis:
        redis.xadd(outbox, {"r": "lobby"}, id="10-0")
        guard.fence.see(LAST, 1_700_000_000_000, OutboxId(20, 0))
    await ping_by_redis_py(valkey, EpochGuard())  # another process begins the later epoch
    with valkey.client() as redis:
        epoch = redis.get(epoch_key(LAST))
    async with RedisConnector(valkey.url, EpochGuard(), 5).connected() as slow:

        async def ask(commands: Sequence[Sequence[str | bytes | int]]) -> Sequence[Any]:
            answers = await slow.ask(commands)
            if any(command[0] == "XRANGE" for command in commands):
                await ping_by_redis_py(valkey, guard)
            return answers

        await guard.check(ask)
    with valkey.client() as redis:
        assert redis.get(epoch_key(LAST)) == epoch
