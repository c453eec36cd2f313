"""Batches of the outbox."""

from history.outbox_reader import decode_batch
from notecast_runtime.keyspace import PARTITIONS, partition_of
from notecast_runtime.outbox import OutboxEntry, OutboxId
from tests.support.outbox_writer import serialised

NOTE = serialised("kitchen", "hello")
GOOD = {b"r": b"kitchen", b"e": b"5", b"s": b"9", b"n": NOTE}
PARTITION = partition_of("kitchen")


def test_a_batch_ends_with_its_last_entry_also_where_that_is_corrupt() -> None:
    batch = decode_batch(
        PARTITION,
        b"5",
        [(b"1-0", {b"r": b"kitchen"}), (b"1-1", GOOD), (b"2-0", {**GOOD, b"s": b"0"})],
    )
    assert batch.entries == (OutboxEntry(OutboxId(1, 1), "kitchen", 5, 9, NOTE),)
    assert [error.outbox_id for error in batch.corrupt] == [b"1-0", b"2-0"]
    assert batch.last_id == b"2-0"
    assert (batch.partition, batch.epoch) == (PARTITION, b"5")


def test_a_note_of_another_partition_is_not_taken_for_one_of_this() -> None:
    batch = decode_batch((PARTITION + 1) % PARTITIONS, b"5", [(b"1-1", GOOD)])
    assert batch.entries == ()
    assert "another partition" in batch.corrupt[0].fault
