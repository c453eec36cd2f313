"""The streams that are open: how many there may be, and which of them nobody reads."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from notecast_runtime.errors import TooManyStreamsError
from notecast_runtime.tasks import going_on

_SWEEPS_PER_LIMIT = 4
_LONGEST_INTERVAL_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Stream(Protocol):
    """A stream, as far as its client's reading goes."""

    @property
    def waiting_since(self) -> float | None:
        """As Outlet.waiting_since."""

    def cut(self, waited_seconds: float, limit_seconds: float) -> None:
        """Ends it: its client is too slow."""


class Streams:
    """Bounds the streams of this gateway, and ends those that are stuck.

    One sweep over all of them rather than a timer for each: a stream is stuck and freed
    with every note, so a timer would be set and cleared as often; a sweep over 10,000
    streams takes a few milliseconds, every few seconds.

    Args:
        max_streams: bound on the streams that are open.
        slow_reader_seconds: how long a stream may have something to send of which nothing
            gets out. It is ended when that is over, by at most a quarter or 5 s later.
        clock: that of the outlets.
    """

    def __init__(
        self,
        max_streams: int,
        slow_reader_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_streams = max_streams
        self._limit_seconds = slow_reader_seconds
        self._clock = clock
        self._open: set[Stream] = set()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def add(self, stream: Stream) -> None:
        """Gives a stream its place, which it has until its status is out.

        Raises:
            TooManyStreamsError: there is none.
        """
        if len(self._open) >= self._max_streams:
            raise TooManyStreamsError(self._max_streams)
        self._open.add(stream)

    def discard(self, stream: Stream) -> None:
        """Takes the place back, if it has one."""
        self._open.discard(stream)

    async def run(self) -> None:
        """Sweeps until cancelled."""
        interval = min(self._limit_seconds / _SWEEPS_PER_LIMIT, _LONGEST_INTERVAL_SECONDS)
        while going_on():
            await asyncio.sleep(interval)
            self.sweep()

    def sweep(self) -> None:
        """Ends the streams that have been stuck for too long by now."""
        now = self._clock()
        for stream in tuple(self._open):
            since = stream.waiting_since
            if since is not None and now - since > self._limit_seconds:
                _log.info("slow_reader_ended", waited_seconds=round(now - since, 1))
                stream.cut(now - since, self._limit_seconds)
