"""What each reader and each writer went through, put together from its records. No I/O."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.records import (
    Acknowledged,
    Begins,
    Broken,
    Connects,
    Done,
    Leaves,
    Noted,
    Record,
    Refused,
    Retried,
    Returns,
    Sent,
)

_NOT_STORED = "WRITES_REFUSED"
"""An error that says that Redis has refused the note."""


class Absence(NamedTuple):
    """A time in which a reader did not read, of its own will."""

    begin: float
    end: float


@dataclass
class ReaderStory:
    """One reader's records, sorted by what they are.

    Attributes:
        name: of its file.
        begins: by room, from where on it is owed notes.
        heard: notes and breaks, in the order of their delivery.
        connects: in order.
        absences: in order.
        done: None where the file is not complete.
    """

    name: str
    begins: dict[str, Begins] = field(default_factory=dict)
    heard: list[Noted | Broken] = field(default_factory=list)
    connects: list[Connects] = field(default_factory=list)
    absences: list[Absence] = field(default_factory=list)
    done: Done | None = None

    def gateways(self, begin: float, end: float) -> set[str]:
        """The gateways at which it had, or tried to open, a stream within the time."""
        times = [connect.time for connect in self.connects]
        first, last = bisect_right(times, begin), bisect_right(times, end)
        return {connect.gateway for connect in self.connects[max(first - 1, 0) : last]}

    def present_since(self, begin: float, end: float) -> float:
        """From when on, within the time, it was there without a break."""
        returned = [a.end for a in self.absences if a.begin < end and a.end > begin]
        return min(max([begin, *returned]), end)


def reader_story(name: str, records: Iterable[Record]) -> ReaderStory:
    """Puts a reader's records together; others among them are passed over."""
    story = ReaderStory(name)
    left: float | None = None
    for record in records:
        match record:
            case Noted() | Broken():
                story.heard.append(record)
            case Begins():
                story.begins.setdefault(record.room, record)
            case Connects():
                story.connects.append(record)
            case Leaves():
                left = record.time
            case Returns() if left is not None:
                story.absences.append(Absence(left, record.time))
            case Done():
                story.done = record
            case _:
                pass
    return story


@dataclass
class WriterStory:
    """One writer's records, sorted by what they are.

    Attributes:
        name: of its file.
        sent: by note id.
        acknowledged: in order.
        refused: in order.
        not_stored: by note id, until when each answer said that it was not stored.
        done: None where the file is not complete.
    """

    name: str
    sent: dict[str, Sent] = field(default_factory=dict)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    not_stored: dict[str, float] = field(default_factory=dict)
    done: Done | None = None


def writer_story(name: str, records: Iterable[Record]) -> WriterStory:
    """Puts a writer's records together; others among them are passed over."""
    story = WriterStory(name)
    uncertain: set[str] = set()
    for record in records:
        match record:
            case Sent():
                story.sent[record.note_id] = record
            case Acknowledged():
                story.acknowledged.append(record)
            case Refused():
                story.refused.append(record)
            case Retried() if record.reason != _NOT_STORED:
                uncertain.add(record.note_id)
            case Retried() if record.note_id not in uncertain:
                story.not_stored[record.note_id] = record.time
            case Done():
                story.done = record
            case _:
                pass
    return story
