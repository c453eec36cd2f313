"""What becomes of that which can't be persisted: it is named, set aside, and stops nothing else."""

from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from history.persist_script import REJECTED_KEPT
from notecast_runtime.keyspace import (
    heads_key,
    log_key,
    outbox_key,
    partition_of,
    persisted_key,
    rejected_key,
)
from notecast_runtime.redis.client import Redis
from tests.support.history_parts import (
    as_logged,
    at_work,
    logged,
    neighbour_of,
    persist_all,
    persister,
    persisting,
    quick_reader,
    stranger_to,
    worker,
)
from tests.support.outbox_writer import OutboxWriter, serialised
from tests.support.waiting import eventually

ROOM = "kitchen"
PARTITION = partition_of(ROOM)
NEIGHBOUR = neighbour_of(ROOM)
STRANGER = stranger_to(ROOM)
NOTE = serialised(ROOM, "hello")


def set_aside(store: redis.Redis, partition: int = PARTITION) -> list[dict[bytes, bytes]]:
    entries: Any = store.xrange(rejected_key(partition))
    return [fields for _, fields in entries]


BAD_ENTRIES: dict[str, dict[Any, Any]] = {
    "no field n": {"r": ROOM, "e": 1, "s": 2},
    "no field r": {"something": "else"},
    "r names no room": {"r": b"\xff", "e": 1, "s": 2, "n": NOTE},
    "r names a room of another partition": {"r": STRANGER, "e": 1, "s": 2, "n": NOTE},
    "e is no number from 1 to 2^53": {"r": ROOM, "e": "soon", "s": 2, "n": NOTE},
    "s is no number from 1 to 2^53": {"r": ROOM, "e": 1, "s": 2**64 - 1, "n": NOTE},
    "s is beyond what its room has given out": {"r": ROOM, "e": 1, "s": 700, "n": NOTE},
    "n does not decode as a note": {"r": ROOM, "e": 1, "s": 2, "n": b"no note", "x": "more"},
}


@pytest.mark.parametrize("reason", BAD_ENTRIES)
async def test_a_bad_entry_is_named_and_set_aside_as_it_was_and_stops_no_other(
    client: Redis, store: redis.Redis, writer: OutboxWriter, reason: str
) -> None:
    accepted = [writer.accept(ROOM)]
    outbox_id: Any = store.xadd(outbox_key(PARTITION), BAD_ENTRIES[reason])
    entries: Any = store.xrange(outbox_key(PARTITION), outbox_id)
    as_it_was = entries[0][1]
    accepted.append(writer.accept(ROOM))
    subject = worker(client, persister=persister(client))
    with capture_logs() as logs:
        async with at_work(subject):
            await eventually(lambda: len(logged(store, ROOM)) == 2, "the others go on")
    assert logged(store, ROOM) == as_logged(accepted)
    assert set_aside(store) == [{b"outbox_id": outbox_id, b"reason": reason.encode(), **as_it_was}]
    [line] = [line for line in logs if line["event"] == "entry_rejected"]
    assert (line["outbox_id"], line["reason"], line["total"]) == (outbox_id.decode(), reason, 1)
    assert subject.rejected == 1


async def test_notes_of_a_room_whose_key_holds_no_stream_are_set_aside_and_stop_no_other_room(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.set(log_key(ROOM), "no stream")
    refused = [writer.accept(ROOM, "one")]
    accepted = [writer.accept(NEIGHBOUR)]
    refused.append(writer.accept(ROOM, "two"))
    accepted.append(writer.accept(NEIGHBOUR))
    async with persisting(client) as health:
        await eventually(lambda: len(logged(store, NEIGHBOUR)) == 2, "the neighbour goes on")
        await eventually(lambda: health.ready, "ready")
    assert logged(store, NEIGHBOUR) == as_logged(accepted)
    found = set_aside(store)
    assert [(int(fields[b"s"]), fields[b"n"]) for fields in found] == as_logged(refused)
    assert {fields[b"reason"] for fields in found} == {b"its room's key holds no stream"}
    assert store.get(log_key(ROOM)) == b"no stream", "what is there is not ours to remove"


async def test_what_another_worker_has_set_aside_is_not_set_aside_again(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.xadd(outbox_key(PARTITION), {"something": "else"})
    store.set(log_key(ROOM), "no stream")
    writer.accept(ROOM)
    source, target = quick_reader(client), persister(client)
    early = (await source.read(await source.positions([PARTITION]))).batches
    await target.persist(early)
    store.xadd(outbox_key(PARTITION), {"another": "one"})
    await persist_all(client, PARTITION)
    [again] = await target.persist(early)
    assert getattr(again, "rejected", None) == ()
    assert len(set_aside(store)) == 3


async def test_the_newest_of_the_rejected_are_kept_and_the_others_counted(
    client: Redis, store: redis.Redis
) -> None:
    with store.pipeline() as pipeline:
        for number in range(REJECTED_KEPT + 50):
            pipeline.xadd(outbox_key(PARTITION), {"number": number})
        pipeline.execute()
    await persist_all(client, PARTITION)
    numbers = [int(fields[b"number"]) for fields in set_aside(store)]
    assert numbers == list(range(50, REJECTED_KEPT + 50))
    facts: Any = store.xinfo_stream(rejected_key(PARTITION))
    assert facts["entries-added"] == REJECTED_KEPT + 50


async def test_an_entry_with_thousands_of_fields_stops_nothing(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.xadd(outbox_key(PARTITION), {f"field {i}": i for i in range(20_000)})
    accepted = [writer.accept(ROOM)]
    async with persisting(client):
        await eventually(lambda: logged(store, ROOM) == as_logged(accepted), "it goes on")
    [fields] = set_aside(store)
    assert fields[b"field 63"] == b"63"
    assert len(fields) == 66


async def test_where_nothing_can_be_set_aside_the_others_go_on_all_the_same(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.set(rejected_key(PARTITION), "no stream")
    store.xadd(outbox_key(PARTITION), {"something": "else"})
    accepted = [writer.accept(ROOM)]
    with capture_logs() as logs:
        async with persisting(client):
            await eventually(lambda: logged(store, ROOM) == as_logged(accepted), "it goes on")
    assert [line["reason"] for line in logs if line["event"] == "entry_rejected"] == ["no field r"]


@pytest.mark.parametrize("key", ["outbox", "position"])
async def test_a_partition_that_cannot_be_read_stops_no_other_and_comes_back(
    client: Redis, store: redis.Redis, writer: OutboxWriter, key: str
) -> None:
    bad = outbox_key(PARTITION) if key == "outbox" else persisted_key(PARTITION)
    store.set(bad, "neither stream nor position")
    with capture_logs() as logs:
        async with persisting(client) as health:
            accepted = [writer.accept(STRANGER) for _ in range(3)]
            await eventually(lambda: logged(store, STRANGER) == as_logged(accepted), "it goes on")
            await eventually(lambda: not health.ready, "not ready")
            store.delete(bad)
            healed = [writer.accept(ROOM)]
            await eventually(lambda: logged(store, ROOM) == as_logged(healed), "it comes back")
            await eventually(lambda: health.ready, "ready again")
    failed = [line for line in logs if line["event"] == "partition_failed"]
    assert {tuple(line["partitions"]) for line in failed} == {(PARTITION,)}
    assert len(failed) < 30, "it rests in between"


async def test_a_lease_that_cannot_be_read_keeps_nobody_from_persisting(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.rpush(f"nc:{{{PARTITION}}}:lease", "no string")
    accepted = [writer.accept(ROOM)]
    async with persisting(client):
        await eventually(lambda: logged(store, ROOM) == as_logged(accepted), "persisted")


async def test_a_sequence_beyond_the_head_does_not_hide_the_notes_to_come(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.xadd(outbox_key(PARTITION), {"r": ROOM, "e": 1, "s": 9, "n": NOTE})
    await persist_all(client, PARTITION)
    accepted = writer.accept_all(ROOM, ["one", "two"])
    await persist_all(client, PARTITION)
    assert logged(store, ROOM) == as_logged(accepted)
    assert store.hget(heads_key(PARTITION), ROOM) == b"2"
