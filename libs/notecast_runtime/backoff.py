"""Waits between attempts, which grow with each failure."""

import random

_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 2.0


class Backoff:
    """Waits that double from 50 ms to 2 s; each is drawn between half of that and all.

    The jitter keeps processes that lost the same peer from coming back at the same time.
    """

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds = _FIRST_SECONDS

    def next_delay(self) -> float:
        """The next wait, in seconds."""
        delay = self._seconds * random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no secrecy
        self._seconds = min(self._seconds * 2, _LONGEST_SECONDS)
        return delay

    def reset(self) -> None:
        """Starts again with the shortest wait: the peer was reached."""
        self._seconds = _FIRST_SECONDS
