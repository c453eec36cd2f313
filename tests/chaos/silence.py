"""How long a note was on its way to a reader, and which fault that is put down to. Pure."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.chaos.faults import EVERYONE, KINDS, SILENT_SECONDS, Kind, Site
from tests.chaos.findings import CALM
from tests.chaos.records import Injected
from tests.chaos.stories import ReaderStory

_PROMPT_SECONDS = 0.25
"""What arrives within that was not delayed by anything."""

_AT_ONCE_SECONDS = 0.1
"""A note acknowledged so shortly before a fault is put down to it."""


class Wait(NamedTuple):
    """A note's way to a reader."""

    fault: str
    silence: float
    """From its acknowledgement, or the reader's coming, to its delivery. Seconds."""

    overdue: float
    """What of it no fault made necessary."""

    allowed: float
    """How much of that is within what is promised."""


class Timeline:
    """The faults of a run, asked by time.

    Args:
        faults: as injected, in any order.
        kinds: what may be expected of each kind, by its name.
    """

    def __init__(self, faults: Sequence[Injected], kinds: Mapping[str, Kind] = KINDS) -> None:
        self.faults = sorted(faults)
        self._kinds = kinds
        self._begins = [fault.time - _AT_ONCE_SECONDS for fault in self.faults]

    def kind_at(self, time: float) -> str:
        """The kind of the fault that began last."""
        index = bisect_right(self._begins, time)
        return self.faults[index - 1].kind if index else CALM

    def forgot(self, time: float) -> bool:
        """Whether what was acknowledged then may be gone from Redis."""
        return any(self._kinds[f.kind].forgets and f.time <= time <= f.until for f in self.faults)

    def wait(self, story: ReaderStory, room: str, acknowledged: float, delivered: float) -> Wait:
        """Judges how long a note took to a reader."""
        owed = max(acknowledged, story.begins[room].time)
        if delivered - owed < _PROMPT_SECONDS:
            waited = max(0.0, delivered - owed)
            return Wait(self.kind_at(acknowledged), waited, waited, SILENT_SECONDS)
        begin = story.present_since(owed, delivered)
        touching = self._touching(story, begin, delivered)
        due = max(
            [begin, *(min(f.until, delivered) for f in touching if self._kinds[f.kind].blocks)],
        )
        cause = max(
            touching, key=lambda f: (self._overlap(f, begin, delivered), f.time), default=None
        )
        if cause is None:
            kind, allowed = self.kind_at(acknowledged), SILENT_SECONDS
        else:
            kind, allowed = cause.kind, self._kinds[cause.kind].silence_seconds
        return Wait(kind, delivered - begin, delivered - due, allowed)

    def _touching(self, story: ReaderStory, begin: float, end: float) -> list[Injected]:
        during = [f for f in self.faults if f.time <= end and self._over(f) >= begin]
        if not during:
            return []
        # A stream that a fault has ended is opened elsewhere later: both gateways count.
        at = story.gateways(min(begin, *(f.time for f in during)), end)
        return [f for f in during if _reaches(self._kinds[f.kind], f.target, at)]

    def _over(self, fault: Injected) -> float:
        """When nothing is left of the fault."""
        return fault.until + self._kinds[fault.kind].silence_seconds

    def _overlap(self, fault: Injected, begin: float, end: float) -> float:
        return min(self._over(fault), end) - max(fault.time, begin)


def _reaches(kind: Kind, target: str, gateways: set[str]) -> bool:
    """Whether a reader at these gateways can notice such a fault."""
    match kind.site:
        case Site.WRITERS_DOOR | Site.READERS:
            return False  # a reader's own absence is in its records
        case Site.GATEWAY | Site.READERS_DOOR | Site.GATEWAY_LINK | Site.LINK:
            return target == EVERYONE or target in gateways or target.startswith("history")
        case _:
            return True
