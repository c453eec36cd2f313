"""Batches reads: processes received data at once, or together with what comes a little later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from notecast_wire.http2.codes import FrameType

_ENOUGH_BYTES: Final = 4_096
"""Flush when this many bytes of requests wait: about sixteen small calls. They share the cost of a
turn well enough; more would save little, and each call would wait for the last one.

Only requests count. No client waits for an answer to flow control (PING, WINDOW_UPDATE), and much
of it comes just after a round to many streams."""

_MOST_BYTES: Final = 262_144
"""Bound on all bytes that wait."""

_TYPE: Final = 3
"""The index of the type in a frame header (RFC 9113, 4.1)."""

_REQUEST_TYPES: Final = (FrameType.HEADERS, FrameType.DATA)

_COMPANY: Final = 2
"""From this number of calls under way, a server is busy. A client that waits for each answer before
it asks again has only one call, and is never delayed."""

_SOONEST: Final = 0.8
"""`flush_at` counts only after this share of the usual time."""

_EARLY_SECONDS: Final = 0.001
"""Timers of event loops are early by at most this much."""

Process = Callable[[bytes], None]


class ReadBatcher:
    """Lets a busy server process many requests in one go, as network cards do with packets.

    Waking up for one request costs as much as serving it: the CPU's caches are cold by then, and
    each wake-up leads to writes that wake their readers. So while several calls are under way, or
    were a moment ago, received data wait until `seconds` after the last flush, or until
    `flush_at`. An idle server processes everything at once.

    Args:
        loop: the event loop whose clock counts.
        seconds: the usual time between two flushes; 0: no batching.

    Attributes:
        flush_at: the time of the loop at which to process what waits. Ignored where it is past, or
            much less than `seconds` after the last flush. It may be moved on at any time; what
            waits already is kept for that once at most.
    """

    __slots__ = (
        "_bytes",
        "_due",
        "_held",
        "_loop",
        "_request_bytes",
        "_seconds",
        "_together",
        "_took_at",
        "flush_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self.flush_at = 0.0
        self._held: list[tuple[Process, bytes]] = []
        self._bytes = self._request_bytes = 0
        self._took_at = loop.time()
        self._together = False
        self._due: asyncio.TimerHandle | None = None

    def add(self, process: Process, data: bytes, calls: int) -> None:
        """Passes data to `process`: now or later, in order, once.

        Args:
            process: processes the data; may be called after its connection has closed.
            data: the data from the socket.
            calls: the number of calls under way.
        """
        if not self._held and not self._is_busy(calls):
            process(data)
            return
        self._held.append((process, data))
        self._bytes += len(data)
        if _begins_with_request(data):
            self._request_bytes += len(data)
        if self._request_bytes >= _ENOUGH_BYTES or self._bytes >= _MOST_BYTES:
            self.flush()
        elif self._due is None:
            end = self._end()
            wake = self.flush if end == self.flush_at else self._wake
            self._due = self._loop.call_at(max(end, self._loop.time()), wake)

    def flush(self) -> None:
        """Processes all data that wait."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._took_at = self._loop.time()
        held, self._held = self._held, []
        self._bytes = self._request_bytes = 0
        self._together = len(held) >= _COMPANY
        for process, data in held:
            try:
                process(data)
            except Exception as error:  # only affects this connection
                context = {"message": "received data could not be processed", "exception": error}
                self._loop.call_exception_handler(context)

    def _is_busy(self, calls: int) -> bool:
        if not self._seconds:
            return False
        return calls >= _COMPANY or (self._together and self._loop.time() < self._end())

    def _end(self) -> float:
        """The time of the next flush: `flush_at`, unless that is too early."""
        if self.flush_at >= self._took_at + self._seconds * _SOONEST:
            return self.flush_at
        return self._took_at + self._seconds

    def _wake(self) -> None:
        """Flushes after the usual time, or waits for `flush_at` if it was set in the meantime."""
        if self._loop.time() < self.flush_at - _EARLY_SECONDS:
            self._due = self._loop.call_at(self.flush_at, self.flush)
        else:
            self.flush()


def _begins_with_request(data: bytes) -> bool:
    """Whether the data begin with a frame of a request; unknown if they begin within a frame."""
    return len(data) > _TYPE and data[_TYPE] in _REQUEST_TYPES
