"""Batches of the outbox."""

from history.outbox_reader import decode_batch
from notecast_runtime.outbox import OutboxEntry, OutboxId


def test_a_batch_ends_with_its_last_entry_also_where_that_is_corrupt() -> None:
    good = {b"r": b"kitchen", b"e": b"5", b"s": b"9", b"n": b"note"}
    batch = decode_batch(
        3, b"5", [(b"1-0", {b"r": b"kitchen"}), (b"1-1", good), (b"2-0", {**good, b"s": b"0"})]
    )
    assert batch.entries == (OutboxEntry(OutboxId(1, 1), "kitchen", 5, 9, b"note"),)
    assert [error.outbox_id for error in batch.corrupt] == [b"1-0", b"2-0"]
    assert batch.last_id == b"2-0"
    assert (batch.partition, batch.epoch) == (3, b"5")
