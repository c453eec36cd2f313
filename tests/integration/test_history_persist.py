"""What the persisting of the history service promises."""

import asyncio
import time
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from history.outbox_reader import Batch
from history.persist_script import Failed, Persisted, Persister, Refused
from notecast_runtime.keyspace import (
    log_key,
    outbox_key,
    partition_of,
    persisted_key,
    trims_key,
)
from notecast_runtime.redis.client import Redis
from tests.support.history_parts import (
    HeldPersister,
    as_logged,
    at_work,
    grow_old,
    logged,
    neighbour_of,
    persister,
    persisting,
    quick_reader,
    stranger_to,
    worker,
)
from tests.support.outbox_writer import AcceptedNote, OutboxWriter
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

ROOM = "kitchen"
PARTITION = partition_of(ROOM)
NEIGHBOUR = neighbour_of(ROOM)
STRANGER = stranger_to(ROOM)


async def one_batch(client: Redis, room: str = ROOM, batch_notes: int = 32) -> Batch:
    subject = quick_reader(client, batch_notes)
    [batch] = (await subject.read(await subject.positions([partition_of(room)]))).batches
    return batch


async def trim(subject: Persister, client: Redis) -> None:
    """As a worker does about each second."""
    assert not await subject.trim(await quick_reader(client).positions([PARTITION]))


async def with_three_persisted(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> Persister:
    """What has persisted three notes just now, and keeps them in the outbox for 300 s."""
    store.config_set("stream-node-max-entries", 1)
    writer.accept_all(ROOM, ["one", "two", "three"])
    subject = persister(client, trim_margin_seconds=300)
    await subject.persist([await one_batch(client)])
    await trim(subject, client)
    return subject


def outbox_times(store: redis.Redis) -> list[int]:
    """The milliseconds of the entries that the partition's outbox holds."""
    entries: Any = store.xrange(outbox_key(PARTITION))
    return [int(entry_id.split(b"-")[0]) for entry_id, _ in entries]


async def test_notes_that_come_one_after_the_other_are_persisted_together(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    async with persisting(client):
        writer.accept(ROOM, "the first")
        await eventually(lambda: logged(store, ROOM), "it has begun")
        store.config_resetstat()
        begin = time.monotonic()
        for i in range(100):
            writer.accept(ROOM, f"note {i}")
            await asyncio.sleep(0.005)  # the pace of whoever sends
        await eventually(lambda: len(logged(store, ROOM)) == 101, "all are persisted")
        elapsed = time.monotonic() - begin
        statistics: Any = store.info("commandstats")
        batches = statistics["cmdstat_xtrim"]["calls"] / 2  # so often each has the outbox trimmed
    assert batches <= 3 + elapsed / 0.03


async def test_every_note_reaches_the_stream_of_its_room_in_order(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    before = writer.accept_all(ROOM, [f"before {i}" for i in range(100)])
    async with persisting(client):
        meanwhile = []
        for i in range(100):
            meanwhile.append(writer.accept(ROOM, f"meanwhile {i}"))
            writer.accept(STRANGER, f"elsewhere {i}")
        await eventually(lambda: len(logged(store, STRANGER)) == 100, "the other room persisted")
        await eventually(lambda: len(logged(store, ROOM)) == 200, "all persisted")
    assert logged(store, ROOM) == as_logged(before + meanwhile)


async def test_an_entry_of_a_stream_keeps_epoch_outbox_id_and_note(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    accepted = writer.accept(ROOM)
    entries: Any = store.xrange(outbox_key(PARTITION))
    outbox_id = entries[0][0]
    await persister(client).persist([await one_batch(client)])
    fields = {b"e": b"%d" % accepted.epoch, b"o": outbox_id, b"n": accepted.note}
    assert store.xrange(log_key(ROOM)) == [(b"1-0", fields)]
    assert store.get(persisted_key(PARTITION)) == outbox_id


async def test_a_batch_persisted_again_changes_nothing(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    early = writer.accept_all(ROOM, ["one", "two"])
    early_batch = await one_batch(client)
    later = writer.accept_all(ROOM, ["three"])
    whole_batch = await one_batch(client)
    subject = persister(client)
    await subject.persist([whole_batch])
    position = store.get(persisted_key(PARTITION))
    for batch in (early_batch, whole_batch):
        assert await subject.persist([batch]) == [Persisted(whole_batch.last_id)]
    assert logged(store, ROOM) == as_logged(early + later)
    assert store.get(persisted_key(PARTITION)) == position, "it never goes back"


async def test_two_workers_one_of_them_late_persist_every_note_once(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    accepted = writer.accept_all(ROOM, [f"early {i}" for i in range(50)])
    late = HeldPersister(client)
    late_worker = worker(client, persister=late, lease_seconds=0.3)
    prompt_worker = worker(
        client, persister=persister(client), reader=quick_reader(client, batch_notes=7)
    )
    async with at_work(late_worker):
        await late.held.wait()
        async with at_work(prompt_worker):
            accepted += writer.accept_all(ROOM, [f"meanwhile {i}" for i in range(50)])
            await eventually(lambda: len(logged(store, ROOM)) == 100, "one persists alone")
            late.go_on.set()
            accepted += writer.accept_all(ROOM, [f"together {i}" for i in range(50)])
            await eventually(lambda: len(logged(store, ROOM)) == 150, "both persist")
            await eventually(lambda: late.outcomes, "the late one has finished its batch")
    assert logged(store, ROOM) == as_logged(accepted)


async def test_a_late_worker_brings_back_nothing_that_retention_removed(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept_all(ROOM, ["one", "two", "three"])
    held_back = await one_batch(client)
    await persister(client).persist([held_back])
    store.xtrim(log_key(ROOM), maxlen=0, approximate=False)
    await persister(client).persist([held_back])
    assert logged(store, ROOM) == []


async def test_a_batch_that_was_read_in_another_epoch_is_refused(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept(ROOM)
    batch = await one_batch(client)
    writer.begin_epoch(PARTITION)
    assert await persister(client).persist([batch]) == [Refused()]
    assert not store.exists(log_key(ROOM), persisted_key(PARTITION))


async def test_a_worker_with_a_batch_of_a_lost_epoch_goes_on_with_what_redis_holds(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept_all(ROOM, ["lost one", "lost two"])
    late = HeldPersister(client)
    async with at_work(worker(client, persister=late, lease_seconds=0.3)):
        await late.held.wait()
        store.flushall()
        writer.begin_epoch(PARTITION)
        accepted = writer.accept_all(ROOM, ["new one", "new two", "new three"])
        late.go_on.set()
        await eventually(lambda: len(logged(store, ROOM)) == 3, "the new notes are persisted")
    assert [type(outcome) for outcome in late.outcomes] == [Refused, Persisted]
    assert logged(store, ROOM) == as_logged(accepted)


async def test_data_that_vanish_while_a_worker_is_idle_do_not_stop_it(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    async with persisting(client):
        # The position lies far ahead of all that is going to come: as after a clock set back.
        ahead = f"{int(time.time() * 1000) + 3_600_000}-0"
        store.xadd(outbox_key(PARTITION), {"r": ROOM, "e": 1, "s": 1, "n": b""}, id=ahead)
        await eventually(lambda: store.get(persisted_key(PARTITION)) == ahead.encode(), "read")
        store.flushall()
        accepted = [writer.accept(ROOM, "after the loss")]
        await eventually(lambda: logged(store, ROOM) == as_logged(accepted), "persisted")


async def test_a_partition_that_fails_stops_no_other_and_turns_readiness_red(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.rpush(persisted_key(PARTITION), "no string")
    failing = [writer.accept(ROOM)]
    async with persisting(client) as health:
        accepted = [writer.accept(STRANGER)]
        await eventually(lambda: logged(store, STRANGER) == as_logged(accepted), "it goes on")
        await eventually(lambda: not health.ready, "not ready")
        store.delete(persisted_key(PARTITION))
        await eventually(lambda: logged(store, ROOM) == as_logged(failing), "it comes back")
        await eventually(lambda: health.ready, "ready again")


async def test_a_script_that_fails_is_an_outcome_of_its_batch_alone(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept(ROOM)
    writer.accept(STRANGER)
    batches = [await one_batch(client, ROOM), await one_batch(client, STRANGER)]
    store.rpush(persisted_key(PARTITION), "no string")
    failed, persisted = await persister(client).persist(batches)
    assert isinstance(failed, Failed)
    assert isinstance(persisted, Persisted)


async def test_a_room_keeps_as_many_notes_as_retention_says(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    async with persisting(client, retention_notes=10):
        accepted = writer.accept_all(ROOM, [str(i) for i in range(150)])
        few = writer.accept_all(NEIGHBOUR, ["one", "two"])
        await eventually(lambda: len(logged(store, NEIGHBOUR)) == 2, "all persisted")
    assert logged(store, ROOM) == as_logged(accepted[-10:])
    assert logged(store, NEIGHBOUR) == as_logged(few)
    assert store.xlen(outbox_key(PARTITION)) == 152, "retention leaves the outbox alone"


async def test_the_outbox_is_trimmed_up_to_the_persisted_position_less_a_margin(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.config_set("stream-node-max-entries", 1)  # so that "about" becomes "exactly"
    accepted = []
    for _ in range(100):
        subject = persister(client, trim_margin_seconds=300)  # of a process of its own
        # By ids that are ahead of all clocks, as where Redis's was, and was set back.
        accepted.append(writer.accept(ROOM, at=int(time.time() * 1000) + 3_600_000))
        await subject.persist([await one_batch(client)])
        await trim(subject, client)
        grow_old(store, PARTITION, 10, trims_key)
    # Each stays for 300 s, in steps of an eighth of that, and so does the last before those.
    assert 31 <= store.xlen(outbox_key(PARTITION)) <= 37
    assert logged(store, ROOM) == as_logged(accepted)
    assert store.llen(trims_key(PARTITION)) <= 10


async def test_the_outbox_is_trimmed_though_history_restarts_more_often_than_the_margin(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.config_set("stream-node-max-entries", 1)
    begin = time.monotonic()
    accepted: list[AcceptedNote] = []
    while store.xlen(outbox_key(PARTITION)) == len(accepted):
        assert time.monotonic() - begin < 10, "nothing was trimmed"
        accepted.append(writer.accept(ROOM))
        async with persisting(client, trim_margin_seconds=1):  # for far less than that
            await eventually(lambda: len(logged(store, ROOM)) == len(accepted), "persisted")
    assert len(accepted) > 1
    assert logged(store, ROOM) == as_logged(accepted)


async def test_a_partition_that_no_note_comes_to_has_its_outbox_trimmed_all_the_same(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    subject = await with_three_persisted(client, store, writer)
    grow_old(store, PARTITION, 299, trims_key)
    await trim(subject, client)
    assert store.xlen(outbox_key(PARTITION)) == 3
    grow_old(store, PARTITION, 2, trims_key)
    await trim(subject, client)
    assert store.xlen(outbox_key(PARTITION)) == 1, "the last one always stays"


async def test_the_outbox_is_trimmed_by_its_margin_in_a_full_redis_too(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    subject = await with_three_persisted(client, store, writer)
    grow_old(store, PARTITION, 301, trims_key)
    writer.accept(ROOM, "four")
    await subject.persist([await one_batch(client)])
    store.config_set("maxmemory", 1)
    with pytest.raises(redis.OutOfMemoryError):
        store.set("a", "b")
    await trim(subject, client)
    assert store.xlen(outbox_key(PARTITION)) == 2, "the third, and what came after it"
    assert store.llen(trims_key(PARTITION)) == 2, "and where persisting stands now"


async def test_marks_of_newer_data_never_have_trimmed_what_is_not_persisted(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    """They are as old as the data, unless somebody restores a part of these."""
    store.config_set("stream-node-max-entries", 1)
    writer.accept_all(ROOM, ["one", "two", "three"])
    first = await one_batch(client, batch_notes=1)
    subject = persister(client, trim_margin_seconds=300)
    await subject.persist([first])
    store.rpush(trims_key(PARTITION), "0 99999999999999-0")
    await trim(subject, client)
    left: Any = store.xrange(outbox_key(PARTITION))
    assert [entry_id for entry_id, _ in left][:1] == [first.last_id]
    assert len(left) == 3


async def test_marks_that_hold_something_else_keep_no_note_from_being_persisted(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.set(trims_key(PARTITION), "no list")
    with capture_logs() as logs:
        async with persisting(client) as health:
            accepted = [writer.accept(ROOM), writer.accept(NEIGHBOUR)]
            await eventually(lambda: logged(store, NEIGHBOUR), "persisted")
            await eventually(lambda: health.ready, "ready")
    assert logged(store, ROOM) == as_logged(accepted[:1])
    told = [line["partitions"] for line in logs if line["event"] == "outbox_not_trimmed"]
    assert told == [[PARTITION]]


async def test_the_outbox_is_trimmed_by_the_position_that_redis_holds_at_most(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.config_set("stream-node-max-entries", 1)
    subject = persister(client, trim_margin_seconds=1)
    writer.accept_all(ROOM, ["one", "two", "three"])
    await subject.persist([await one_batch(client)])
    await trim(subject, client)
    # Redis has lost what was written last, and nobody could tell.
    store.delete(persisted_key(PARTITION))
    grow_old(store, PARTITION, 2, trims_key)
    first = await one_batch(client, batch_notes=1)
    await subject.persist([first])
    await trim(subject, client)
    left: Any = store.xrange(outbox_key(PARTITION))
    assert left[0][0] == first.last_id


async def test_what_is_not_persisted_is_never_trimmed(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    now = int(time.time() * 1000)
    for age in range(500, 0, -1):
        writer.accept(ROOM, at=now - age * 1000)
    batch = await one_batch(client, batch_notes=250)
    await persister(client, trim_margin_seconds=0).persist([batch])
    position = int(batch.last_id.split(b"-")[0])
    left = outbox_times(store)
    assert len(left) < 500, "something was trimmed"
    assert [at for at in left if at > position] == list(range(position + 1000, now, 1000))


async def test_persisting_goes_on_by_itself_after_redis_was_away(
    client: Redis, store: redis.Redis, valkey: ValkeyProcess, writer: OutboxWriter
) -> None:
    accepted = [writer.accept(ROOM, "before")]
    async with persisting(client) as health:
        await eventually(lambda: len(logged(store, ROOM)) == 1, "persisted")
        await eventually(lambda: health.ready, "ready")
        valkey.kill()
        await eventually(lambda: not health.ready, "not ready")
        valkey.start()  # it knows no script any more
        accepted.append(writer.accept(ROOM, "after"))
        await eventually(lambda: logged(store, ROOM) == as_logged(accepted), "goes on")
        await eventually(lambda: health.ready, "ready again")


async def test_persisting_goes_on_by_itself_after_redis_hung(
    client: Redis, store: redis.Redis, valkey: ValkeyProcess, writer: OutboxWriter
) -> None:
    async with persisting(client) as health:
        await eventually(lambda: health.ready, "ready")
        valkey.pause()
        await eventually(lambda: not health.ready, "not ready")
        valkey.resume()
        accepted = [writer.accept(ROOM)]
        await eventually(lambda: logged(store, ROOM) == as_logged(accepted), "goes on")


async def test_scripts_that_redis_forgot_are_handed_over_again(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    subject = persister(client)
    accepted = [writer.accept(ROOM)]
    await subject.persist([await one_batch(client)])
    store.script_flush()
    accepted.append(writer.accept(ROOM))
    assert isinstance((await subject.persist([await one_batch(client)]))[0], Persisted)
    assert logged(store, ROOM) == as_logged(accepted)


async def test_stopping_finishes_the_batch_in_hand(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    accepted = writer.accept_all(ROOM, ["one", "two"])
    paused = HeldPersister(client)
    subject = worker(client, persister=paused)
    task = asyncio.create_task(subject.run())
    await paused.held.wait()
    subject.stop()
    paused.go_on.set()
    async with asyncio.timeout(5):
        await task
    assert logged(store, ROOM) == as_logged(accepted)
