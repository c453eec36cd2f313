"""Draws who takes part: readers and writers. Pure: the same plan gives the same parts."""

import random
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from tests.chaos.plan import Plan

Start = Literal["from_start", "now"]

_LATE = 0.2
"""How many readers come while the run is on."""

_NOW = 0.15
"""How many readers begin with the next note instead of the first."""

_TWO_ROOMS = 0.1
_BUSY_WRITERS = 4
"""In each busy room: while some wait at a gateway that is ill, the others go on."""

_QUIET_SHARE = 0.25
"""How many readers read a quiet room."""


class ReaderPart(NamedTuple):
    """A stream's life."""

    name: str
    rooms: tuple[str, ...]
    start: Start
    joins_after: float | None
    """Seconds since the begin of the run; None: at the end, to see what is kept."""

    hop_seconds: float
    """After how long it leaves, to resume at once; 0: it stays."""


class WriterPart(NamedTuple):
    """One who sends notes, each until it is acknowledged."""

    name: str
    room: str
    notes_per_second: float


class Cast(NamedTuple):
    """All who take part."""

    readers: list[ReaderPart]
    writers: list[WriterPart]


def draw_cast(plan: Plan) -> Cast:
    """Readers, one more for each room to see what is kept at the end, and writers."""
    dice = random.Random(f"cast {plan.seed}")  # noqa: S311 - to be drawn again
    busy, quiet = _names("busy", plan.busy_rooms), _names("quiet", plan.quiet_rooms)
    readers = [_reader(number, plan, busy, quiet, dice) for number in range(plan.readers)]
    readers += [
        ReaderPart(f"auditor-{room}", (room,), "from_start", None, 0.0) for room in busy + quiet
    ]
    writers = [
        *_writers("busy", busy * _BUSY_WRITERS, plan.busy_notes),
        *_writers("quiet", quiet, plan.quiet_notes),
    ]
    return Cast(readers, writers)


def _names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"room-{prefix}-{number}" for number in range(1, count + 1))


def _reader(
    number: int, plan: Plan, busy: Sequence[str], quiet: Sequence[str], dice: random.Random
) -> ReaderPart:
    of_quiet = not busy or (bool(quiet) and dice.random() < _QUIET_SHARE)
    kind = quiet if of_quiet else busy
    rooms = [kind[number % len(kind)]]
    if dice.random() < _TWO_ROOMS and len(kind) > 1:
        rooms.append(kind[(number + 1) % len(kind)])
    return ReaderPart(
        name=f"reader-{number:03}",
        rooms=tuple(rooms),
        start="now" if dice.random() < _NOW else "from_start",
        joins_after=round(dice.uniform(1, plan.seconds), 3) if dice.random() < _LATE else 0.0,
        hop_seconds=plan.hop_seconds if dice.random() < plan.hops else 0.0,
    )


def _writers(prefix: str, rooms: Sequence[str], notes: float) -> list[WriterPart]:
    """One for each name of a room, all of them together at that pace."""
    if not notes:
        return []
    return [
        WriterPart(f"{prefix}-writer-{number:02}", room, notes / len(rooms))
        for number, room in enumerate(rooms, start=1)
    ]


def reader_from_fields(fields: list[Any]) -> ReaderPart:
    """The part that was written to JSON as a list of its fields."""
    name, rooms, *others = fields
    return ReaderPart(name, tuple(rooms), *others)
