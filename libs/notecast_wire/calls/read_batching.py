"""When what came from clients is taken: at once, or with what comes a little later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from notecast_wire.http2.codes import FrameType

_ENOUGH_BYTES: Final = 4_096
"""What waits is taken as soon as it is this much: some sixteen small calls. They share what a turn
costs well enough; more of them would save little, and each would wait for the last.

Only requests count. What clients say of what they have read (PING, WINDOW_UPDATE) is nothing that
anybody waits for, and much of it comes just after a round to many."""

_MOST_BYTES: Final = 262_144
"""No more than this waits, whatever it is."""

_TYPE: Final = 3
"""Where the head of a frame has its type (RFC 9113, 4.1)."""

_REQUEST_TYPES: Final = (FrameType.HEADERS, FrameType.DATA)

_COMPANY: Final = 2
"""So many calls under way make a server busy. A client that waits for each answer before it asks
again is alone with one, and never made to wait."""

_SOONEST: Final = 0.8
"""A time that the server names counts where so much of the usual time is over by then."""

_EARLY_SECONDS: Final = 0.001
"""Loops' timers are so early at most."""

Process = Callable[[bytes], None]


class ReadBatcher:
    """Lets a busy server take many requests in one go, as network cards do with packets.

    To wake up for one request costs as much again as to serve it: the caches are others' by then,
    and each wake-up leads to writes, and wakes those who read them. So while several calls are
    under way, or were a moment ago, what comes waits until `seconds` have passed since the last
    time, or until a time that the server has named: a later one, or a little sooner. An idle server
    takes all at once.

    Args:
        loop: whose clock it is.
        seconds: how long to gather; 0: never.

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
        """Hands data to `process`: now or later, in order, and once.

        Args:
            process: takes what has come; it must bear to be called when its connection has closed.
            data: from the socket.
            calls: how many are under way.
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
        """Has all taken that waits."""
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
            except Exception as error:  # of one connection: the others' data go on
                context = {"message": "what came could not be taken", "exception": error}
                self._loop.call_exception_handler(context)

    def _is_busy(self, calls: int) -> bool:
        if not self._seconds:
            return False
        return calls >= _COMPANY or (self._together and self._loop.time() < self._end())

    def _end(self) -> float:
        """When what waits is taken: at the time that was named, unless that comes too soon."""
        if self.flush_at >= self._took_at + self._seconds * _SOONEST:
            return self.flush_at
        return self._took_at + self._seconds

    def _wake(self) -> None:
        """The usual time is over; a time that was named meanwhile is waited for, and no other."""
        if self._loop.time() < self.flush_at - _EARLY_SECONDS:
            self._due = self._loop.call_at(self.flush_at, self.flush)
        else:
            self.flush()


def _begins_with_request(data: bytes) -> bool:
    """Whether a part of a request comes first; of what begins amid a frame, nobody knows."""
    return len(data) > _TYPE and data[_TYPE] in _REQUEST_TYPES
