"""This process's clock, beside Redis's: one clock alone must not remove notes."""

import time
from collections.abc import Callable
from typing import Final

_ELAPSED: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that continues while the machine sleeps, if the system has one."""


def elapsed() -> float:
    """Seconds since some moment, whatever the machine's time is set to."""
    return time.clock_gettime(_ELAPSED)


class HistoryClock:
    """The machine's time, without jumps ahead since this object was made.

    It does not follow a time that jumps ahead, because Redis may run on the same machine and have
    the same time. It follows a time that is set back.

    Args:
        wall: the machine's time, in seconds since 1970.
        elapsed: seconds since some moment; see `elapsed`.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = elapsed
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._begin = wall() - elapsed()

    def now(self) -> float:
        """Seconds since 1970."""
        elapsed = self._elapsed()
        self._begin = min(self._begin, self._wall() - elapsed)
        return self._begin + elapsed
