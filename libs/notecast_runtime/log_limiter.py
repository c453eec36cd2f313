"""Limits how often an event is logged, whoever causes it, and tells what is new. No I/O."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

BURST_LINES: Final = 10
PERIOD_SECONDS: Final = 6.0


class Admission(NamedTuple):
    """The decision about a line."""

    passes: bool
    suppressed: int
    """The number of lines of the event suppressed since its last one; only if this one passes."""


class _Event:
    __slots__ = ("lines", "seen", "suppressed")

    def __init__(self, lines: float, seen: float) -> None:
        self.lines = lines
        """The number of lines that may be written now."""
        self.seen = seen
        self.suppressed = 0


class LogLimiter:
    """Lets a burst of each event through, and after that one line a period.

    It counts by the event's name alone, because the cause of a flood may choose the fields.

    Args:
        burst_lines: the number of lines of one event that may come at once.
        period_seconds: the time after which one more may come.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        burst_lines: int = BURST_LINES,
        period_seconds: float = PERIOD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst_lines = burst_lines
        self.period_seconds = period_seconds
        self._clock = clock
        self._events: dict[str, _Event] = {}

    def admit(self, name: str) -> Admission:
        """Decides about a line of an event, and counts it."""
        now = self._clock()
        event = self._events.get(name)
        if event is None:
            event = self._events[name] = _Event(self._burst_lines, now)
        earned = (now - event.seen) / self.period_seconds
        event.lines = min(event.lines + earned, self._burst_lines)
        event.seen = now
        if event.lines < 1:
            event.suppressed += 1
            return Admission(passes=False, suppressed=0)
        event.lines -= 1
        return Admission(passes=True, suppressed=self.tell_suppressed(name))

    def tell_suppressed(self, name: str) -> int:
        """Returns the number of lines of an event suppressed since the last call."""
        event = self._events.get(name)
        if event is None:
            return 0
        suppressed, event.suppressed = event.suppressed, 0
        return suppressed


class News:
    """Remembers what was told last, so that an unchanged state is told once."""

    def __init__(self) -> None:
        self._told: tuple[object, ...] = ()

    def is_new(self, *what: object) -> bool:
        """Whether this differs from the last call; counts as told from now on."""
        told, self._told = self._told, what
        return what != told

    def forget(self) -> None:
        """Forgets what was told: the state is over, and is new if it comes again."""
        self._told = ()
