"""Replicas that are killed, paused and late: room streams equal what was accepted."""

import asyncio
import random
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from grpc import aio

from history.persist_script import Persisted, Refused
from history.retention import RETENTION, AgeRetention
from notecast.v1.history_pb2 import LoggedNote, ReplayRequest
from notecast.v1.history_pb2_grpc import HistoryServiceStub
from notecast_runtime.health import Health
from notecast_runtime.keyspace import (
    PARTITIONS,
    ages_key,
    log_key,
    outbox_key,
    partition_of,
    persisted_key,
)
from notecast_runtime.redis.client import Redis
from tests.support.health import wait_until_serving
from tests.support.history_parts import (
    HeldPersister,
    as_logged,
    as_replayed,
    at_work,
    connected,
    grow_old,
    logged,
    neighbour_of,
    persister,
    worker,
)
from tests.support.history_replicas import (
    HistoryReplica,
    Load,
    blocked_readers,
    held_by,
    hidden_notes,
    lease_holders,
    under_load,
)
from tests.support.outbox_writer import OutboxWriter
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

ROOM = "kitchen"
PARTITION = partition_of(ROOM)
NEIGHBOUR = neighbour_of(ROOM)
ROOMS = [ROOM, NEIGHBOUR, "hall", "cellar", "attic", "garden"]
SMALL = {"lease_seconds": 0.5, "persist_batch": 3, "outbox_trim_margin_seconds": 0}
"""Many batches and leases, and nothing left of the outbox: much that can go wrong."""

PATIENT = {**SMALL, "redis_timeout_seconds": 30}
"""One that is paused longer than it waits for Redis would drop the batch that it wakes with."""

RETENTION_SECONDS = 100


async def all_persisted(store: redis.Redis, load: Load) -> None:
    """Waits for the last note of each room."""

    def whole() -> bool:
        return all(
            logged(store, room)[-1:] == as_logged(notes)[-1:] for room, notes in load.notes.items()
        )

    await eventually(whole, "everything is persisted", 20)


async def notes_come_in(store: redis.Redis, count: int) -> None:
    """Waits until so many more are persisted."""

    def persisted() -> int:
        return sum(store.xlen(log_key(room)) for room in ROOMS)

    begin = persisted()
    await eventually(lambda: persisted() >= begin + count, "notes are persisted", 20)


async def replayed(replica: HistoryReplica, room: str) -> list[LoggedNote]:
    async with aio.insecure_channel(replica.target) as channel:
        replay = HistoryServiceStub(channel).Replay(ReplayRequest(room=room), timeout=10)
        return [note async for response in replay for note in response.notes]


async def at_work_in_this_epoch(
    store: redis.Redis, writer: OutboxWriter, outbox_id: str = "*"
) -> None:
    """Waits until a replica persists the partition. Without an epoch, it would refuse its batch."""
    writer.accept_all(NEIGHBOUR, ["first"], outbox_id)
    await eventually(lambda: logged(store, NEIGHBOUR), "it persists", 20)


async def pause_with_a_batch_in_hand(
    replica: HistoryReplica,
    store: redis.Redis,
    writer: OutboxWriter,
    texts: list[str],
    outbox_id: str = "*",
) -> None:
    """Pauses the only replica in its XREAD, which these notes then answer: it wakes with them."""

    def paused_in_its_read() -> bool:
        replica.pause()
        if blocked_readers(store) == 1:
            return True
        replica.resume()
        return False

    await eventually(paused_in_its_read, "it waits for notes")
    writer.accept_all(ROOM, texts, outbox_id)
    assert blocked_readers(store) == 0, "they are on their way to it"


async def test_replicas_killed_and_restarted_under_load_persist_every_note_once(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    """Persisted notes come from the outbox, not from what a replica receives live."""
    with ExitStack() as stack:
        replicas = [stack.enter_context(HistoryReplica(valkey, **SMALL)) for _ in range(2)]
        with under_load(valkey.client(), ROOMS, seed=1) as load:
            for victim in (*replicas, *replicas):
                await eventually(lambda: len(lease_holders(store)) == PARTITIONS, "at work", 20)
                await notes_come_in(store, 100)
                victim.kill()
                victim.start()
            for replica in replicas:
                replica.kill()
            await eventually(lambda: hidden_notes(store, ROOM) == set(), "all in the outbox")
            for replica in replicas:
                replica.start()
        await all_persisted(store, load)
        for room, notes in load.notes.items():
            assert logged(store, room) == as_logged(notes)
        await wait_until_serving(replicas[0].target, seconds=20)
        for room, notes in load.notes.items():
            assert await replayed(replicas[0], room) == as_replayed(notes)


@pytest.mark.parametrize(
    ("seed", "faults"),
    [
        (1, 12),
        pytest.param(2, 80, marks=pytest.mark.slow),
        pytest.param(3, 80, marks=pytest.mark.slow),
    ],
)
async def test_replicas_killed_and_paused_at_random_neither_lose_nor_repeat_nor_reorder(
    valkey: ValkeyProcess, store: redis.Redis, seed: int, faults: int
) -> None:
    """Every room keeps its order, whichever replica is late with a batch."""
    dice = random.Random(seed)  # noqa: S311 - repeatable
    with ExitStack() as stack:
        replicas = [stack.enter_context(HistoryReplica(valkey, **SMALL)) for _ in range(3)]
        await eventually(lambda: len(lease_holders(store)) == PARTITIONS, "at work", 20)
        with under_load(valkey.client(), ROOMS, seed) as load:
            for _ in range(faults):
                victim = dice.choice(replicas)
                fault = dice.choice(["pause", "pause", "pause", "kill", "stop"])
                if fault == "pause":
                    victim.pause()
                    await asyncio.sleep(
                        dice.choice([0.01, 0.1, 0.7])
                    )  # shorter, longer than a lease
                    victim.resume()
                else:
                    victim.kill() if fault == "kill" else victim.stop()
                    victim.start()
                for room in ROOMS:
                    assert hidden_notes(store, room) == set(), "replayable all the time"
                await asyncio.sleep(dice.uniform(0, 0.2))
        await all_persisted(store, load)
    for room, notes in load.notes.items():
        assert logged(store, room) == as_logged(notes)
    accepted = sum(map(len, load.notes.values()))
    left = sum(store.xlen(outbox_key(n)) for n in {partition_of(room) for room in ROOMS})
    assert left < accepted, "and the outbox was trimmed meanwhile"


async def test_a_replica_paused_with_a_batch_in_hand_finishes_late_and_changes_nothing(
    valkey: ValkeyProcess, store: redis.Redis, writer: OutboxWriter
) -> None:
    """One worker is paused, another goes on, and the first one finishes late."""
    with HistoryReplica(valkey, **PATIENT) as late:
        await at_work_in_this_epoch(store, writer)
        await pause_with_a_batch_in_hand(late, store, writer, ["one", "two"])
        with HistoryReplica(valkey, **SMALL) as prompt:
            accepted = writer.accept_all(ROOM, ["three", "four", "five"])
            await eventually(lambda: len(logged(store, ROOM)) == 5, "the other took over", 20)
            whole = logged(store, ROOM)
            late.resume()
            await eventually(lambda: held_by(store, late.pid), "it is back")
            prompt.kill()
            accepted += writer.accept_all(ROOM, ["six"])
            await eventually(lambda: len(logged(store, ROOM)) == 6, "it goes on from there")
    assert whole[2:] == as_logged(accepted[:3])
    assert logged(store, ROOM) == whole + as_logged(accepted[3:])
    assert [sequence for sequence, _ in whole] == [1, 2, 3, 4, 5]


async def another_run_is_met(valkey: ValkeyProcess) -> None:
    """As by the gateway whose notes come next: the guard begins the new epoch."""
    async with connected(valkey.url) as gateway:
        await gateway.get("anything")


async def test_a_worker_that_was_away_while_redis_lost_its_newest_writes_persists_none_of_them(
    valkey: ValkeyProcess, client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    """The sequences of lost notes are given again; a late batch must not fill them."""
    accepted = [writer.accept(ROOM, "kept")]
    held = HeldPersister(client)
    async with at_work(worker(client, persister=persister(client))):
        await eventually(lambda: len(logged(store, ROOM)) == 1, "persisted")
    valkey.save_copy()
    writer.accept_all(ROOM, ["lost one", "lost two", "lost three"])
    async with at_work(worker(client, persister=held)):
        await held.held.wait()
        valkey.restart_from_copy()
        await another_run_is_met(valkey)
        accepted += [writer.accept(ROOM, "new two"), writer.accept(ROOM, "new three")]
        held.go_on.set()
        await eventually(lambda: len(logged(store, ROOM)) == 3, "the new ones are persisted")
    assert [type(outcome) for outcome in held.outcomes][:2] == [Refused, Persisted]
    assert logged(store, ROOM) == as_logged(accepted)


async def test_a_process_paused_while_redis_lost_its_newest_writes_persists_none_of_them(
    valkey: ValkeyProcess, store: redis.Redis, writer: OutboxWriter
) -> None:
    """SIGSTOP with a batch in hand, then Redis from an older file, then SIGCONT."""
    with HistoryReplica(valkey, **PATIENT) as late:
        await at_work_in_this_epoch(store, writer)
        valkey.save_copy()
        await pause_with_a_batch_in_hand(late, store, writer, ["lost one", "lost two"])
        valkey.restart_from_copy()
        await another_run_is_met(valkey)
        accepted = writer.accept_all(ROOM, ["new one", "new two", "new three"])
        late.resume()
        await eventually(lambda: len(logged(store, ROOM)) == 3, "the new ones are persisted", 20)
    assert logged(store, ROOM) == as_logged(accepted)


async def test_notes_removed_while_a_worker_is_paused_with_them_do_not_come_back(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    """A late worker finds out from the stream's last id that it is late."""
    writer.accept_all(ROOM, ["one", "two"])
    held = HeldPersister(client)
    retention = AgeRetention(
        client, Health([], [RETENTION]), max_age_seconds=RETENTION_SECONDS, sweep_seconds=60
    )
    async with at_work(worker(client, persister=held, lease_seconds=0.3)):
        await held.held.wait()
        async with at_work(worker(client, persister=persister(client), lease_seconds=0.3)):
            await eventually(lambda: len(logged(store, ROOM)) == 2, "the other took over")
            await retention.sweep(PARTITION)
            grow_old(store, PARTITION, 2 * RETENTION_SECONDS)
            await retention.sweep(PARTITION)
            assert logged(store, ROOM) == []
            held.go_on.set()
            await eventually(lambda: held.outcomes, "the late one has finished")
            assert logged(store, ROOM) == []
            accepted = [writer.accept(ROOM, "three")]
            await eventually(lambda: logged(store, ROOM) == as_logged(accepted), "life goes on")
    assert {type(outcome) for outcome in held.outcomes} == {Persisted}


async def test_notes_removed_while_a_process_is_paused_with_them_do_not_come_back(
    valkey: ValkeyProcess, store: redis.Redis, writer: OutboxWriter
) -> None:
    """SIGSTOP with a batch in hand, then the room's notes grow too old, then SIGCONT."""
    removing = {"retention_seconds": RETENTION_SECONDS, "retention_sweep_seconds": 0.5}
    with HistoryReplica(valkey, **PATIENT) as late:
        await at_work_in_this_epoch(store, writer)
        await pause_with_a_batch_in_hand(late, store, writer, ["one", "two"])
        before = store.get(persisted_key(PARTITION))
        with HistoryReplica(valkey, **SMALL, **removing) as prompt:
            await eventually(lambda: store.get(persisted_key(PARTITION)) != before, "persisted", 20)
            await eventually(lambda: store.llen(ages_key(PARTITION)), "a sweep has seen it")
            grow_old(store, PARTITION, 2 * RETENTION_SECONDS)
            await eventually(lambda: logged(store, ROOM) == [], "and removed")
            prompt.kill()
        late.resume()
        await eventually(lambda: len(held_by(store, late.pid)) == PARTITIONS, "it is back")
        accepted = [writer.accept(ROOM, "three")]
        await eventually(lambda: logged(store, ROOM)[-1:] == as_logged(accepted), "it goes on")
    assert logged(store, ROOM) == as_logged(accepted)


async def test_redis_paused_and_resumed_under_load_costs_no_note(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    settings: dict[str, Any] = {**SMALL, "redis_timeout_seconds": 0.2}
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(HistoryReplica(valkey, **settings))
        await eventually(lambda: len(lease_holders(store)) == PARTITIONS, "at work", 20)
        with under_load(valkey.client(), ROOMS, seed=5) as load:
            for _ in range(4):  # a script that is sent may run after its worker has given it up
                valkey.pause()
                await asyncio.sleep(0.4)  # longer than the replicas wait
                valkey.resume()
                await asyncio.sleep(0.2)
        await all_persisted(store, load)
    for room, notes in load.notes.items():
        assert logged(store, room) == as_logged(notes)
