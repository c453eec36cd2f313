"""What the leases of partitions promise: less work twice, and harm to nobody."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

import pytest
import redis

from history.outbox_reader import OutboxPosition, OutboxReader, Reading
from notecast_runtime.keyspace import PARTITIONS, lease_key, log_key, partition_of
from notecast_runtime.redis.client import Redis
from tests.support.history_parts import (
    as_logged,
    at_work,
    leases,
    logged,
    persister,
    worker,
)
from tests.support.history_replicas import HistoryReplica, held_by, lease_holders
from tests.support.outbox_writer import OutboxWriter
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

ROOM = "kitchen"
ALL = frozenset(range(PARTITIONS))


class RecordingReader(OutboxReader):
    """Notes which partitions it was asked to read last."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client, batch_notes=32, block_seconds=0.05)
        self.asked: set[int] = set()

    async def read(
        self, positions: Mapping[int, OutboxPosition], *, block_seconds: float | None = None
    ) -> Reading:
        self.asked = set(positions)
        return await super().read(positions, block_seconds=block_seconds)


async def test_one_replica_alone_takes_every_partition_at_once(client: Redis) -> None:
    assert (await leases(client).renew()).partitions == ALL


async def test_a_newcomer_takes_its_share_at_once_and_the_other_notices(client: Redis) -> None:
    first, second, third = leases(client), leases(client), leases(client)
    await first.renew()
    assert len((await second.renew()).partitions) == 32
    assert len((await first.renew()).partitions) == 32
    assert len((await third.renew()).partitions) == 21
    held = [(await each.renew()).partitions for each in (first, second, third)]
    assert sorted(map(len, held)) == [21, 21, 22]
    assert frozenset.union(*held) == ALL


async def test_what_is_given_up_is_free_at_once_and_what_others_hold_stays_theirs(
    client: Redis, store: redis.Redis
) -> None:
    first, second = leases(client), leases(client)
    await first.renew()
    held = (await second.renew()).partitions
    await first.give_up()  # it believes that it holds all
    assert lease_holders(store).keys() == held
    assert (await second.renew()).partitions == ALL


async def test_a_lease_that_nobody_renews_expires_and_the_others_wake_just_then(
    client: Redis, store: redis.Redis
) -> None:
    gone, heir = leases(client, lease_seconds=0.3), leases(client, lease_seconds=30)
    await heir.renew()
    await gone.renew()
    holding = await heir.renew()
    assert len(holding.partitions) == 32
    assert holding.renew_seconds <= 0.3, "not at its own pace of 10 s"
    await eventually(lambda: len(lease_holders(store)) == 32, "the leases of the other expire")
    assert (await heir.renew()).partitions == ALL


async def test_a_lease_without_an_end_is_taken_over(client: Redis, store: redis.Redis) -> None:
    store.set(lease_key(5), "nobody")
    assert (await leases(client).renew()).partitions == ALL
    assert store.pttl(lease_key(5)) > 0


async def test_a_worker_reads_the_partitions_that_it_holds_and_no_other(
    client: Redis, store: redis.Redis
) -> None:
    one, other = RecordingReader(client), RecordingReader(client)
    target = persister(client)
    async with (
        at_work(worker(client, persister=target, reader=one, lease_seconds=0.3)),
        at_work(worker(client, persister=target, reader=other, lease_seconds=0.3)),
    ):
        await eventually(lambda: len(one.asked) == len(other.asked) == 32, "they share")
        await eventually(lambda: not one.asked & other.asked, "and do not do the same")
    assert lease_holders(store) == {}, "at the end they gave everything up"


async def test_a_worker_that_holds_nothing_waits_for_its_turn(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    for number in range(PARTITIONS):  # one other for each: the share is less than one
        store.set(lease_key(number), f"holder {number}", px=600)
    reader = RecordingReader(client)
    accepted = [writer.accept(ROOM)]
    begin = time.monotonic()
    async with at_work(worker(client, persister=persister(client), reader=reader)):
        await eventually(lambda: logged(store, ROOM) == as_logged(accepted), "the leases expired")
    assert time.monotonic() - begin > 0.4, "it waited for that"


async def test_a_worker_that_persists_without_its_lease_does_no_harm(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    stubborn = worker(client, persister=persister(client), lease_seconds=30)
    accepted = []
    async with at_work(stubborn):
        await eventually(lambda: len(lease_holders(store)) == PARTITIONS, "it holds all")
        store.delete(*[lease_key(n) for n in range(PARTITIONS)])
        async with at_work(worker(client, persister=persister(client), lease_seconds=30)):
            await eventually(lambda: len(lease_holders(store)) == PARTITIONS, "so does the other")
            for i in range(200):
                accepted.append(writer.accept(ROOM, f"{i}"))
                await asyncio.sleep(0)
            await eventually(lambda: len(logged(store, ROOM)) >= 200, "persisted")
    assert logged(store, ROOM) == as_logged(accepted)


@pytest.mark.parametrize("fault", ["killed", "paused", "stopped"])
async def test_the_partitions_of_a_replica_that_is_gone_are_taken_over_within_its_lease(
    valkey: ValkeyProcess, store: redis.Redis, writer: OutboxWriter, fault: str
) -> None:
    settings = {"lease_seconds": 1}
    with HistoryReplica(valkey, **settings) as gone, HistoryReplica(valkey, **settings) as heir:
        await eventually(
            lambda: sorted(Counter(lease_holders(store).values()).values()) == [32, 32],
            "they share",
            20,
        )
        theirs = held_by(store, gone.pid)
        room = next(f"{i}" for i in range(10_000) if partition_of(f"{i}") in theirs)
        {"killed": gone.kill, "paused": gone.pause, "stopped": gone.stop}[fault]()
        begin = time.monotonic()
        accepted = [writer.accept(room)]
        await eventually(lambda: logged(store, room) == as_logged(accepted), "taken over")
        assert time.monotonic() - begin < 1.5
        await eventually(lambda: held_by(store, heir.pid) == ALL, "it has all")


async def test_one_replica_persists_within_tens_of_milliseconds(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    waits = []
    async with at_work(worker(client, persister=persister(client))):
        await eventually(lambda: len(lease_holders(store)) == PARTITIONS, "it holds all")
        for number in range(1, 52):
            writer.accept(ROOM)
            begin = time.perf_counter()
            while store.xlen(log_key(ROOM)) < number:  # noqa: ASYNC110 - no interval to measure with
                await asyncio.sleep(0)
            waits.append(time.perf_counter() - begin)
    assert sorted(waits)[25] < 0.1, "the median; 20 ms on an idle machine: it gathers"
