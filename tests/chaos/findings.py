"""What the checker says: counts for each kind of fault, and each violation. Pure values."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from notecast_client.cursors import Position

CALM = "none"
"""The kind of fault of what happened before the first one."""

_EXAMPLES = 20


class Breach(StrEnum):
    """What must not happen."""

    LOST = "lost"
    """Acknowledged, or seen by others, and not seen by a reader who is owed it."""

    REPEATED = "repeated"
    """Seen twice by a reader, or stored twice."""

    REORDERED = "reordered"
    """Seen after a note of a later position."""

    LATE = "late"
    """Seen later than the fault excuses."""

    DIFFERENT = "different"
    """One place, and two contents; or a content that nobody sent."""

    UNANNOUNCED = "unannounced"
    """The log went back, in a new epoch, or Redis lost what the reader had seen, and it was not
    told."""

    REFUSED = "refused"
    """A send that was in order, and was refused."""

    STORED = "stored"
    """A send of which it was said that Redis refused it."""

    UNHEALED = "unhealed"
    """Not well again after the faults: a service that is not ready, an outbox that grows."""

    UNFINISHED = "unfinished"
    """A file that ends early, or a run in which nothing happened: nothing is shown."""


class Violation(NamedTuple):
    """One breach, of one note."""

    breach: Breach
    fault: str
    """The kind of fault that it is put down to."""

    who: str
    """The file that shows it."""

    room: str
    place: Position | None
    note_id: str
    detail: str


@dataclass
class Tally:
    """What happened under one kind of fault.

    Attributes:
        injected: how many faults of the kind there were.
        acknowledged: notes acknowledged from such a fault's begin until the next one's.
        silence: the longest time from a note's acknowledgement to its delivery, seconds.
        overdue: the same, less the time in which the fault made delivery impossible.
        breaches: notes for each breach.
    """

    injected: int = 0
    acknowledged: int = 0
    silence: float = 0.0
    overdue: float = 0.0
    breaches: Counter[Breach] = field(default_factory=Counter)

    def as_fields(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "injected": self.injected,
            "acknowledged": self.acknowledged,
            **{breach.value: self.breaches[breach] for breach in Breach},
            "longest_silence_seconds": round(self.silence, 3),
            "longest_overdue_seconds": round(self.overdue, 3),
        }


class Findings:
    """Gathers what is found; a note that is in breach for many readers counts once."""

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = {}
        self.examples: list[Violation] = []
        self.deliveries = 0
        self.readers = 0
        self.forgotten = 0
        self._counted: set[tuple[Breach, str, object]] = set()
        self._example_counts: Counter[Breach] = Counter()

    def tally(self, fault: str) -> Tally:
        """The counts of a kind of fault."""
        return self.tallies.setdefault(fault, Tally())

    @property
    def total(self) -> Tally:
        """All kinds of faults together."""
        total = Tally()
        for tally in self.tallies.values():
            total.injected += tally.injected
            total.acknowledged += tally.acknowledged
            total.silence = max(total.silence, tally.silence)
            total.overdue = max(total.overdue, tally.overdue)
            total.breaches += tally.breaches
        return total

    @property
    def breaches(self) -> dict[Breach, int]:
        """How many notes for each breach that there was."""
        return dict(self.total.breaches)

    def add(self, violation: Violation) -> None:
        """Takes a violation."""
        key = (violation.breach, violation.room, violation.place or violation.note_id)
        if key in self._counted:
            return
        self._counted.add(key)
        self.tally(violation.fault).breaches[violation.breach] += 1
        self._example_counts[violation.breach] += 1
        if self._example_counts[violation.breach] <= _EXAMPLES:
            self.examples.append(violation)

    def waited(self, fault: str, silence: float, overdue: float) -> None:
        """Takes the time that one note took to one reader."""
        tally = self.tally(fault)
        tally.silence = max(tally.silence, silence)
        tally.overdue = max(tally.overdue, overdue)

    def as_fields(self) -> dict[str, Any]:
        """For a JSON file."""
        return {
            "passed": not self.breaches,
            "readers": self.readers,
            "deliveries": self.deliveries,
            "forgotten_by_redis": self.forgotten,
            "total": self.total.as_fields(),
            "faults": {name: tally.as_fields() for name, tally in sorted(self.tallies.items())},
            "examples": [violation._asdict() for violation in self.examples],
        }
