"""The entries of the outbox: the one contract between gateway and history.

The gateway's accept script writes them, the history service reads them. An entry
has four fields: `r` the room, `e` the epoch, `s` the sequence (both in decimal), and
`n` the serialised `notecast.v1.Note` without epoch and sequence.
"""

from collections.abc import Mapping
from typing import NamedTuple


class OutboxId(NamedTuple):
    """An entry's id as Redis gives them out: ordered, and begun by Redis's clock."""

    milliseconds: int
    counter: int

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.counter}"

    @classmethod
    def parse(cls, text: bytes | str) -> "OutboxId":
        """Reads `milliseconds-counter`; raises ValueError for anything else."""
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


class CorruptOutboxEntryError(Exception):
    """An entry that the accept script can't have written."""

    def __init__(self, outbox_id: bytes, fault: str) -> None:
        super().__init__(f"outbox entry {outbox_id.decode(errors='replace')}: {fault}")
        self.outbox_id = outbox_id
        self.fault = fault


def decode_entry(outbox_id: bytes, fields: Mapping[bytes, bytes]) -> OutboxEntry:
    """Reads an entry as redis-py returns it.

    Raises:
        CorruptOutboxEntryError: a field is missing or is not what it should be.
    """
    try:
        entry = OutboxEntry(
            outbox_id=OutboxId.parse(outbox_id),
            room=fields[b"r"].decode(),
            epoch=int(fields[b"e"]),
            sequence=int(fields[b"s"]),
            note=fields[b"n"],
        )
    except KeyError as missing:
        raise CorruptOutboxEntryError(outbox_id, f"no field {missing}") from missing
    except ValueError as error:
        raise CorruptOutboxEntryError(outbox_id, str(error)) from error
    if entry.epoch < 1 or entry.sequence < 1 or not entry.room:
        raise CorruptOutboxEntryError(outbox_id, "epoch, sequence or room is empty")
    return entry
