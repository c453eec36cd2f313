"""Bounds the time for what a client has begun to send to be complete, with one timer.

All bounds are equally long, so the first to begin is the first to be due: a dict keeps them in
order, and starting or ending one costs an entry. The timer only wakes up while something is
incomplete.
"""

import asyncio
from typing import Final, Protocol

_EARLY_SECONDS: Final = 0.001
"""Timers of event loops are early by at most this much."""


class Unfinished(Protocol):
    """An incomplete frame, header block, request or message of a client."""

    def time_out(self) -> None:
        """Called once the time is up, after the bound was discarded."""


class RequestTimeouts:
    """Calls `time_out` of entries that are not complete in time.

    Progress does not extend a bound: otherwise an octet now and then would do so for ever.

    Args:
        loop: the event loop whose clock counts.
        seconds: the bound, from the start of each entry; infinite: no bound.
    """

    __slots__ = ("_due", "_loop", "_seconds", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._due: dict[Unfinished, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def start(self, entry: Unfinished) -> None:
        """Starts the bound of an entry, until `discard`.

        Replaces the entry's earlier bound, if there is one.
        """
        if self._seconds == float("inf"):
            return
        self._due.pop(entry, None)
        self._due[entry] = due = self._loop.time() + self._seconds
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._pass)

    def discard(self, entry: Unfinished) -> None:
        """Removes the entry's bound, if it has one."""
        self._due.pop(entry, None)

    def stop(self) -> None:
        """Removes all bounds."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pass(self) -> None:
        self._timer = None
        now = self._loop.time() + _EARLY_SECONDS
        while self._due:
            entry, due = next(iter(self._due.items()))
            if due > now:
                self._timer = self._loop.call_at(due, self._pass)
                return
            del self._due[entry]
            entry.time_out()
