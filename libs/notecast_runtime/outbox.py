"""The entries of the outbox: the one contract between gateway and history.

The gateway's accept script writes them, the history service reads them. An entry
has four fields: `r` the room, `e` the epoch, `s` the sequence (both in decimal), and
`n` the serialised `notecast.v1.Note` without epoch and sequence. A fifth one, `f`, is in the first
note of a room of which Redis had nothing: the floor at which its sequences begin.
"""

from collections.abc import Mapping
from typing import NamedTuple

from google.protobuf.message import DecodeError

from notecast.v1.note_pb2 import Note

_LARGEST_NUMBER = 2**53
"""The numbers of a Lua script are exact up to here."""

_LONGEST_NUMBER = len(str(_LARGEST_NUMBER))


class OutboxId(NamedTuple):
    """The id that Redis gives an entry: ordered, and based on Redis's clock."""

    milliseconds: int
    counter: int

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.counter}"

    @classmethod
    def parse(cls, text: bytes | str) -> "OutboxId":
        """Parses `milliseconds-counter`; raises ValueError for anything else."""
        milliseconds, _, counter = (text.decode() if isinstance(text, bytes) else text).partition(
            "-"
        )
        return cls(int(milliseconds), int(counter))


class OutboxEntry(NamedTuple):
    """An accepted note on its way to its room's stream."""

    outbox_id: OutboxId
    room: str
    epoch: int
    sequence: int
    note: bytes
    floor: int = 0
    """None of the room's notes is left up to this sequence; 0: not known."""


class CorruptOutboxEntryError(Exception):
    """An entry that the accept script can't have written."""

    def __init__(self, outbox_id: bytes, fault: str) -> None:
        super().__init__(f"outbox entry {outbox_id.decode(errors='replace')}: {fault}")
        self.outbox_id = outbox_id
        self.fault = fault
        """The fault, without any content of the entry."""


def decode_entry(outbox_id: bytes, fields: Mapping[bytes, bytes]) -> OutboxEntry:
    """Decodes an entry as redis-py returns it.

    Raises:
        CorruptOutboxEntryError: a field is missing or wrong, or the note does not decode as
            `notecast.v1.Note`.
    """
    for name in (b"r", b"e", b"s", b"n"):
        if name not in fields:
            raise CorruptOutboxEntryError(outbox_id, f"no field {name.decode()}")
    try:
        Note.FromString(fields[b"n"])
    except DecodeError as error:
        raise CorruptOutboxEntryError(outbox_id, "n does not decode as a note") from error
    try:
        return OutboxEntry(
            outbox_id=OutboxId.parse(outbox_id),
            room=_room(fields[b"r"]),
            epoch=_number(fields[b"e"], "e"),
            sequence=_number(fields[b"s"], "s"),
            note=fields[b"n"],
            floor=_number(fields[b"f"], "f") if b"f" in fields else 0,
        )
    except ValueError as error:
        raise CorruptOutboxEntryError(outbox_id, str(error)) from error


def _room(field: bytes) -> str:
    try:
        room = field.decode()
    except UnicodeDecodeError:
        room = ""
    if not room:
        raise ValueError("r names no room")
    return room


def _number(field: bytes, name: str) -> int:
    if field.isdigit() and len(field) <= _LONGEST_NUMBER and 1 <= int(field) <= _LARGEST_NUMBER:
        return int(field)
    raise ValueError(f"{name} is no number from 1 to 2^53")
