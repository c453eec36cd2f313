"""Keeps the deadlines of many calls with one timer.

A timer for each call would be expensive, as most deadlines never pass. So calls are grouped by the
hundredth of a second in which they are due, and one timer waits for the earliest group.
"""

import asyncio
import heapq
from collections.abc import Callable
from typing import Protocol

_TICKS_PER_SECOND = 100
_MIN_FORGOTTEN_TICKS = 1_000
_FARTHEST_SECONDS = 366 * 86_400.0  # later is never: loops refuse timers that are too far off


class Expiring(Protocol):
    """An object with a deadline. `due_tick` belongs to this module; 0: there is none."""

    due_tick: int

    def expire(self) -> None:
        """Called once the deadline has passed, up to 10 ms later."""


class Deadlines:
    """Calls `expire` of entries when their deadlines pass.

    Args:
        loop: the event loop whose clock counts.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._time: Callable[[], float] = loop.time
        self._due: dict[int, set[Expiring]] = {}
        self._ticks: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._due.values())

    def add(self, entry: Expiring, at: float) -> None:
        """Lets the entry expire at a time of the loop, unless it is discarded first."""
        tick = int(min(at, self._time() + _FARTHEST_SECONDS) * _TICKS_PER_SECOND) + 1
        entry.due_tick = tick
        due = self._due.get(tick)
        if due is not None:
            due.add(entry)
            return
        self._due[tick] = {entry}
        heapq.heappush(self._ticks, tick)
        if self._ticks[0] == tick:
            self._arm()

    def discard(self, entry: Expiring) -> None:
        """Forgets the entry, if it has a deadline."""
        due = self._due.get(entry.due_tick)
        if due is not None:
            due.discard(entry)
            if not due:
                self._drop(entry.due_tick)
        entry.due_tick = 0

    def replace(self, entry: Expiring, successor: Expiring) -> None:
        """Passes the entry's deadline to a successor, if it has one."""
        due = self._due.get(entry.due_tick)
        if due is not None:
            due.discard(entry)
            due.add(successor)
            successor.due_tick = entry.due_tick
            entry.due_tick = 0

    def stop(self) -> None:
        """Stops: nothing expires any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop(self, tick: int) -> None:
        """Forgets a tick; now and then rebuilds the heap without forgotten ones.

        Otherwise clients could fill it with short calls whose deadlines are far away.
        """
        del self._due[tick]
        if len(self._ticks) > 2 * len(self._due) + _MIN_FORGOTTEN_TICKS:
            self._ticks = list(self._due)
            heapq.heapify(self._ticks)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._ticks[0] / _TICKS_PER_SECOND, self._pass)

    def _pass(self) -> None:
        self._timer = None
        # Loops call up to a clock's resolution early (asyncio's _run_once).
        now = self._time() * _TICKS_PER_SECOND + 1e-3 * _TICKS_PER_SECOND
        # Also drops ticks that all entries have left: there is no need to wake up for them.
        while self._ticks and (self._ticks[0] <= now or self._ticks[0] not in self._due):
            for entry in self._due.pop(heapq.heappop(self._ticks), ()):
                if entry.due_tick:  # otherwise it was discarded when another one expired
                    entry.due_tick = 0
                    entry.expire()
        if self._ticks and self._timer is None:
            self._arm()
