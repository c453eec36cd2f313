"""Time bounds on what a client has begun to send and that is not whole, behind one timer.

All of them take the same time, so those that began first are due first: a dict keeps them in order,
and to begin or end one costs an entry. The timer wakes up for the first one, and then again only
while something is not whole.
"""

import asyncio
from typing import Final, Protocol

_EARLY_SECONDS: Final = 0.001
"""Loops' timers are so early at most."""


class Unfinished(Protocol):
    """A client's frame, header block, request or message of which a part is missing."""

    def time_out(self) -> None:
        """Called once the time is up. The bound has been discarded by then."""


class RequestTimeouts:
    """What has to become whole until when.

    Progress does not move a bound on, or an octet now and then would do so for ever.

    Args:
        loop: whose time it is.
        seconds: from the beginning of each; infinite: no bound.
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
        """Calls `time_out` of the entry after the time, unless it is discarded before.

        Where the entry has a bound already, that one is replaced.
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
