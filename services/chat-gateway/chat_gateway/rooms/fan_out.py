"""The one tick of a gateway: collects rooms with new notes, and delivers them in rounds."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from chat_gateway.rooms.pace import Pace, Round, are_proxied
from notecast_runtime.errors import InternalFaultError, NotecastError

_log = structlog.get_logger(__name__)


class HasReaders(Protocol):
    """A room, as the delivery sees it."""

    name: str

    @property
    def live_readers(self) -> int:
        """The number of streams that a delivery usually writes to."""

    @property
    def live_connections(self) -> int:
        """The number of connections of these streams."""

    def deliver(self) -> None:
        """Sends every reader what is new."""

    def end(self, error: NotecastError) -> None:
        """Ends every stream that reads the room."""


class FanOut:
    """Delivers all rooms with new notes in one round.

    Notes that arrive in one read from Redis are processed in one turn of the event loop. An idle
    gateway delivers them in that turn; a busy one first collects more for some milliseconds
    (`pace.py`).

    Args:
        on_pace: called after each round with the seconds until the next one may begin.
        clock: monotonic time in seconds.
        work_clock: CPU time of this thread in seconds.
    """

    def __init__(
        self,
        on_pace: Callable[[float], None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
        work_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._on_pace = on_pace
        self._clock = clock
        self._work_clock = work_clock
        self._pace = Pace()
        self._rooms: dict[HasReaders, None] = {}
        self._under_way = False
        self._timer: asyncio.TimerHandle | None = None
        self._writes_worked = 0.0

    def mark(self, room: HasReaders) -> None:
        """Schedules the delivery of a room."""
        self._rooms[room] = None
        if not self._under_way:
            self._under_way = True
            self._begin_soon()
        elif self._timer is not None and not self._pace.wait(self._clock()):
            self._timer.cancel()
            self._timer = None
            asyncio.get_running_loop().call_soon(self._round)

    def _begin_soon(self) -> None:
        loop = asyncio.get_running_loop()
        wait = self._pace.wait_for_company(self._clock())
        if wait > 0:
            self._timer = loop.call_later(wait, self._round)
        else:
            loop.call_soon(self._round)

    def _round(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        began_at, worked = self._clock(), self._work_clock()
        rooms, self._rooms = self._rooms, {}
        streams = proxied = 0
        # Connections write their output in the next turn, between these two callbacks.
        loop.call_soon(self._begin_writes)
        try:
            for room in rooms:
                readers = room.live_readers
                streams += readers
                # Most rooms are small: there is no need to count their connections.
                if are_proxied(readers, 1) and are_proxied(readers, room.live_connections):
                    proxied += readers
                _deliver(room)
        finally:
            work = self._work_clock() - worked
            loop.call_soon(self._end_round, began_at, work, streams, proxied)

    def _begin_writes(self) -> None:
        self._writes_worked = self._work_clock()

    def _end_round(self, began_at: float, work: float, streams: int, proxied: int) -> None:
        now = self._clock()
        work += self._work_clock() - self._writes_worked
        self._pace.round_ended(Round(now - began_at, work, streams, proxied), now)
        self._on_pace(self._pace.wait(now))
        if self._rooms:
            self._begin_soon()
        else:
            self._under_way = False


def _deliver(room: HasReaders) -> None:
    try:
        room.deliver()
    except Exception:  # a bug in one room must not silence the others
        _log.exception("delivery_failed", room=room.name)
        # Only each client knows what it was sent; it resumes from there.
        room.end(InternalFaultError("the delivery failed"))
