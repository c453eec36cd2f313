"""Notes as the log keeps them: decodes them, and merges and splits runs of them. No I/O.

A run is a list in order of sequence, with each sequence at most once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from google.protobuf.message import DecodeError

from notecast.v1.history_pb2 import LoggedNote
from notecast.v1.note_pb2 import Note
from notecast_runtime.outbox import OutboxEntry

RESPONSE_NOTES = 256
"""Bound on the notes of one ReplayResponse."""

RESPONSE_BYTES = 256 * 1024
"""Approximate bound on the bytes of one ReplayResponse; a single note may be larger."""

PAGE_BYTES = 2 * 1024 * 1024
"""Approximate bound on the bytes of a ListNotes page: gRPC accepts messages up to 4 MiB."""

_FRAMING_BYTES = 8  # tag and length of a note in a response


class CorruptLogEntryError(Exception):
    """An entry of a room's stream that persisting can't have written."""


def from_log_entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> LoggedNote:
    """Decodes an entry of a room's stream as redis-py returns it.

    Raises:
        CorruptLogEntryError: a field is missing or wrong, or the note does not decode as
            `notecast.v1.Note`. (A gateway joins notes' bytes, so one such note would spoil the
            others of its response.)
    """
    try:
        Note.FromString(fields[b"n"])
        return LoggedNote(
            epoch=int(fields[b"e"]),
            sequence=int(entry_id.partition(b"-")[0]),
            note=fields[b"n"],
            floor=int(fields.get(b"f", 0)),
        )
    except (KeyError, ValueError, DecodeError) as error:
        raise CorruptLogEntryError(
            f"log entry {entry_id.decode(errors='replace')}: {error!r}"
        ) from error


def from_outbox_entry(entry: OutboxEntry) -> LoggedNote:
    """Converts an outbox entry to the note that the log will keep."""
    return LoggedNote(
        epoch=entry.epoch, sequence=entry.sequence, note=entry.note, floor=entry.floor
    )


def merge(log: Iterable[LoggedNote], tail: Iterable[LoggedNote]) -> list[LoggedNote]:
    """Merges two runs into one; if both have a sequence, the log's note counts."""
    notes = {note.sequence: note for note in tail}
    notes.update((note.sequence, note) for note in log)
    return [notes[sequence] for sequence in sorted(notes)]


def chunks(
    notes: Sequence[LoggedNote],
    max_notes: int = RESPONSE_NOTES,
    max_bytes: int = RESPONSE_BYTES,
) -> Iterator[list[LoggedNote]]:
    """Splits a run into parts within the bounds; a note above `max_bytes` is a part of its own."""
    chunk: list[LoggedNote] = []
    size = 0
    for note in notes:
        note_size = note.ByteSize() + _FRAMING_BYTES
        if chunk and (len(chunk) == max_notes or size + note_size > max_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(note)
        size += note_size
    if chunk:
        yield chunk


def fitting(notes: Sequence[LoggedNote], most: int, max_bytes: int = RESPONSE_BYTES) -> int:
    """The number of notes of this size that fit `max_bytes` and `most`; at least 1."""
    size = sum(note.ByteSize() + _FRAMING_BYTES for note in notes)
    return most if not size else max(1, min(most, max_bytes * len(notes) // size))


def newest(
    notes: Sequence[LoggedNote], max_notes: int, max_bytes: int = PAGE_BYTES
) -> list[LoggedNote]:
    """The end of a run within the bounds; at least one note, if there is one."""
    size = 0
    count = 0
    for note in reversed(notes[-max_notes:]):
        size += note.ByteSize() + _FRAMING_BYTES
        if count and size > max_bytes:
            break
        count += 1
    return list(notes[len(notes) - count :])
