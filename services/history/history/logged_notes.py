"""Notes as the log keeps them: reading, joining and cutting runs of them. No I/O.

A run is a list in order of sequence, without a sequence twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from google.protobuf.message import DecodeError

from notecast.v1.history_pb2 import LoggedNote
from notecast.v1.note_pb2 import Note
from notecast_runtime.outbox import OutboxEntry

RESPONSE_NOTES = 256
"""The most notes of one ReplayResponse."""

RESPONSE_BYTES = 256 * 1024
"""About the most bytes of one ReplayResponse; a single note may be larger."""

PAGE_BYTES = 2 * 1024 * 1024
"""About the most bytes of a page of ListNotes: gRPC takes messages of up to 4 MiB."""

_FRAMING_BYTES = 8  # tag and length of a note in a response


class CorruptLogEntryError(Exception):
    """An entry of a room's stream that persisting can't have written."""


def from_log_entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> LoggedNote:
    """Reads an entry of a room's stream as redis-py returns it.

    Raises:
        CorruptLogEntryError: a field is missing or is not what it should be, or the note
            does not decode as `notecast.v1.Note`. (A gateway joins notes' bytes, so that one
            such note would spoil the others of its response.)
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
    """The note as the log is going to keep it."""
    return LoggedNote(
        epoch=entry.epoch, sequence=entry.sequence, note=entry.note, floor=entry.floor
    )


def merge(log: Iterable[LoggedNote], tail: Iterable[LoggedNote]) -> list[LoggedNote]:
    """One run of two; where both have a sequence, the log's note counts."""
    notes = {note.sequence: note for note in tail}
    notes.update((note.sequence, note) for note in log)
    return [notes[sequence] for sequence in sorted(notes)]


def chunks(
    notes: Sequence[LoggedNote],
    max_notes: int = RESPONSE_NOTES,
    max_bytes: int = RESPONSE_BYTES,
) -> Iterator[list[LoggedNote]]:
    """Cuts a run into parts that keep to the bounds; a note beyond `max_bytes` goes alone."""
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
    """How many notes like these keep to `max_bytes`, and to `most`; one at least."""
    size = sum(note.ByteSize() + _FRAMING_BYTES for note in notes)
    return most if not size else max(1, min(most, max_bytes * len(notes) // size))


def newest(
    notes: Sequence[LoggedNote], max_notes: int, max_bytes: int = PAGE_BYTES
) -> list[LoggedNote]:
    """The end of a run that keeps to the bounds; one note at least, if there is one."""
    size = 0
    count = 0
    for note in reversed(notes[-max_notes:]):
        size += note.ByteSize() + _FRAMING_BYTES
        if count and size > max_bytes:
            break
        count += 1
    return list(notes[len(notes) - count :])
