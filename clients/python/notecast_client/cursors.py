"""Positions in a room's log: their order, and their text form."""

from typing import NamedTuple, Protocol

_LARGEST = 2**64 - 1


class Position(NamedTuple):
    """A position in a room's log, in the order of the log: a later epoch comes after."""

    epoch: int
    sequence: int


class Positioned(Protocol):
    """A message that names a position: a Note and a Cursor do."""

    @property
    def epoch(self) -> int:
        """The epoch of the position."""

    @property
    def sequence(self) -> int:
        """The sequence of the position."""


def position_of(where: Positioned) -> Position:
    """Returns the position of a cursor or a note."""
    return Position(where.epoch, where.sequence)


def parse_position(text: str) -> Position:
    """Parses `EPOCH:SEQUENCE`, as `format_position` writes it.

    Raises:
        ValueError: it has another form, or a number is out of bounds.
    """
    epoch, _, sequence = text.partition(":")
    if not (_is_number(epoch) and _is_number(sequence)):
        raise ValueError(f"{text!r} is not EPOCH:SEQUENCE, two whole numbers")
    position = Position(int(epoch), int(sequence))
    if position.epoch < 1 or max(position) > _LARGEST:
        raise ValueError(f"{text!r} is out of bounds: the epoch is at least 1, both below 2^64")
    return position


def format_position(where: Positioned) -> str:
    """Writes a position as `EPOCH:SEQUENCE`."""
    return f"{where.epoch}:{where.sequence}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20
