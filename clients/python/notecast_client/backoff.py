"""Waits between attempts to reach the server."""

import random

_FIRST_SECONDS = 0.05
_LONGEST_SECONDS = 5.0
_LONGEST_ADVICE_SECONDS = 60.0
_LIVED_SECONDS = 1.0


class Backoff:
    """Waits that double from 50 ms to 5 s; each is drawn between half of that and all.

    The jitter keeps clients that lost the same server from coming back at the same time.
    """

    def __init__(self) -> None:
        self._seconds = _FIRST_SECONDS

    def next_delay(self, advice: float | None = None) -> float:
        """The next wait, in seconds.

        Args:
            advice: the seconds that the server asks to wait at least; more than a minute counts
                as a minute.
        """
        delay = self._seconds * random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no secrecy
        self._seconds = min(self._seconds * 2, _LONGEST_SECONDS)
        return delay + min(advice or 0.0, _LONGEST_ADVICE_SECONDS)

    def planned_delay(self, asked: float, lived_seconds: float) -> float:
        """The wait after a stream that its server has sent away, in seconds.

        It is the wait that the server asked for, and does not make later waits longer. But after a
        stream of less than a second it is at least the next wait: if every server is about to end,
        streams would be sent away one after the other.

        Args:
            asked: the wait that the server asked for, in seconds; more than a minute counts as a
                minute.
            lived_seconds: how long the stream lived.
        """
        asked = min(asked, _LONGEST_ADVICE_SECONDS)
        return asked if lived_seconds > _LIVED_SECONDS else max(asked, self.next_delay())

    def stream_ended(self, lived_seconds: float) -> None:
        """Starts again with the shortest wait if the stream lived longer than a second.

        So a server that accepts streams and ends them at once is not asked at full speed.
        """
        if lived_seconds > _LIVED_SECONDS:
            self._seconds = _FIRST_SECONDS
