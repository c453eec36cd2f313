"""The time by this process, beside Redis's: what one clock says alone removes no note."""

import time
from collections.abc import Callable
from typing import Final

_ELAPSED: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where the system has such a clock."""


def elapsed() -> float:
    """Seconds since some moment, whatever the machine's time is set to."""
    return time.clock_gettime(_ELAPSED)


class HistoryClock:
    """The machine's time, but never more of it than has passed since this was made.

    A machine's time that jumps ahead is not followed: Redis may run on the same machine, and would
    say the same. A time that is set back is.

    Args:
        wall: the machine's time, in seconds since 1970.
        elapsed: as `elapsed`.
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
