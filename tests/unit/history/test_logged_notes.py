"""Runs of notes: reading, joining, cutting."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.logged_notes import (
    CorruptLogEntryError,
    chunks,
    fitting,
    from_log_entry,
    from_outbox_entry,
    merge,
    newest,
)
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.outbox import OutboxEntry, OutboxId
from tests.support.outbox_writer import serialised

NOTE = serialised("kitchen", "hello")
SIZES = st.lists(st.integers(0, 400), max_size=40)


def run_of(sizes: list[int]) -> list[LoggedNote]:
    """Notes of these sizes in bytes, with sequences from 1."""
    return [
        LoggedNote(epoch=1, sequence=sequence, note=b"x" * size)
        for sequence, size in enumerate(sizes, start=1)
    ]


def size_of(notes: list[LoggedNote]) -> int:
    return sum(note.ByteSize() for note in notes)


@given(SIZES, st.integers(1, 10), st.integers(1, 1000))
def test_chunks_are_the_run_in_order_within_both_bounds(
    sizes: list[int], max_notes: int, max_bytes: int
) -> None:
    notes = run_of(sizes)
    parts = list(chunks(notes, max_notes, max_bytes))
    assert [note for part in parts for note in part] == notes
    for part in parts:
        assert 1 <= len(part) <= max_notes
        assert len(part) == 1 or size_of(part) <= max_bytes


@given(SIZES)
def test_chunks_are_cut_only_where_a_bound_asks_for_it(sizes: list[int]) -> None:
    parts = list(chunks(run_of(sizes), 10, 1000))
    for part, following in pairwise(parts):
        overhead = 8 * (len(part) + 1)
        assert len(part) == 10 or size_of(part) + following[0].ByteSize() + overhead > 1000


@given(st.integers(0, 400), st.integers(1, 40), st.integers(1, 10), st.integers(1, 1000))
def test_as_many_as_fit_of_like_notes_make_one_chunk_and_one_more_does_not(
    size: int, known: int, most: int, max_bytes: int
) -> None:
    count = fitting(run_of([size] * known), most, max_bytes)
    assert 1 <= count <= most
    assert len(list(chunks(run_of([size] * count), most, max_bytes))) == 1
    assert count == most or len(list(chunks(run_of([size] * (count + 1)), most, max_bytes))) > 1


def test_any_number_fits_of_notes_that_are_not_known() -> None:
    assert fitting([], 7) == 7


@given(SIZES, st.integers(1, 10), st.integers(1, 1000))
def test_the_newest_are_the_end_of_the_run_within_both_bounds(
    sizes: list[int], max_notes: int, max_bytes: int
) -> None:
    notes = run_of(sizes)
    kept = newest(notes, max_notes, max_bytes)
    assert kept == notes[len(notes) - len(kept) :]
    assert bool(kept) == bool(notes)
    assert len(kept) <= max_notes
    assert len(kept) <= 1 or size_of(kept) <= max_bytes


@given(st.sets(st.integers(1, 50)), st.sets(st.integers(1, 50)))
def test_merging_gives_every_sequence_once_in_order_and_prefers_the_log(
    in_log: set[int], in_tail: set[int]
) -> None:
    log = [LoggedNote(epoch=1, sequence=n, note=b"log") for n in sorted(in_log)]
    tail = [LoggedNote(epoch=1, sequence=n, note=b"tail") for n in sorted(in_tail)]
    merged = merge(log, tail)
    assert [note.sequence for note in merged] == sorted(in_log | in_tail)
    assert all((note.note == b"log") == (note.sequence in in_log) for note in merged)


def test_an_entry_of_a_stream_is_read_as_the_note_that_was_accepted() -> None:
    entry = OutboxEntry(OutboxId(17, 3), "kitchen", 5, 9, NOTE)
    read = from_log_entry(b"9-0", {b"e": b"5", b"o": b"17-3", b"n": NOTE})
    assert read == from_outbox_entry(entry) == LoggedNote(epoch=5, sequence=9, note=NOTE)


@pytest.mark.parametrize(
    ("entry_id", "fields"),
    [
        (b"9-0", {b"n": NOTE}),
        (b"9-0", {b"e": b"5"}),
        (b"9-0", {b"e": b"five", b"n": NOTE}),
        (b"9-0", {b"e": b"-5", b"n": NOTE}),
        (b"9-0", {b"e": b"5", b"n": b"no note"}),
    ],
)
def test_an_entry_that_persisting_did_not_write_is_corrupt(
    entry_id: bytes, fields: dict[bytes, bytes]
) -> None:
    with pytest.raises(CorruptLogEntryError, match="9-0"):
        from_log_entry(entry_id, fields)
