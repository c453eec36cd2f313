"""Places in a room's log: how they are ordered, and how people write them."""

from typing import NamedTuple, Protocol

_LARGEST = 2**64 - 1


class Place(NamedTuple):
    """A place in a room's log, in the order of the log: a later epoch comes behind."""

    epoch: int
    sequence: int


class Placed(Protocol):
    """What names a place: a Note and a Cursor do."""

    @property
    def epoch(self) -> int:
        """As in Place."""

    @property
    def sequence(self) -> int:
        """As in Place."""


def place_of(where: Placed) -> Place:
    """The place that a cursor or a note names."""
    return Place(where.epoch, where.sequence)


def parse_place(text: str) -> Place:
    """Reads `EPOCH:SEQUENCE`, as `format_place` writes it.

    Raises:
        ValueError: it is something else, or a number is out of its bounds.
    """
    epoch, _, sequence = text.partition(":")
    if not (_is_number(epoch) and _is_number(sequence)):
        raise ValueError(f"{text!r} is not EPOCH:SEQUENCE, two whole numbers")
    place = Place(int(epoch), int(sequence))
    if place.epoch < 1 or max(place) > _LARGEST:
        raise ValueError(f"{text!r} is out of bounds: the epoch is at least 1, both below 2^64")
    return place


def format_place(where: Placed) -> str:
    """Writes a place as `EPOCH:SEQUENCE`."""
    return f"{where.epoch}:{where.sequence}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20
