"""A stream's place in one room, and what it has yet to write from there."""

import asyncio
from collections import deque
from typing import NamedTuple

import structlog

from chat_gateway.cursors import Start
from chat_gateway.frames import caught_up_frame, discontinuity_frame
from chat_gateway.heads import Head
from chat_gateway.outlet import Outlet
from chat_gateway.ring import Run
from chat_gateway.room import PastPage, Room
from notecast.v1.event_pb2 import Discontinuity
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.backoff import Backoff
from notecast_runtime.errors import (
    HistoryUnavailableError,
    InternalFaultError,
    NotecastError,
    Place,
)

_log = structlog.get_logger(__name__)


class _Break(NamedTuple):
    """What a client has yet to be told: behind `after` the log goes on at `resumes_at`."""

    reason: Discontinuity.Reason.ValueType
    after: Cursor
    resumes_at: int


class RoomCursor:
    """A stream's place in one room; implements `RoomReader`.

    It has no queue: what it has yet to write is in the room's ring, or behind the ring in
    history, of which a stream holds one page at most, whatever the number of its rooms.

    Args:
        room: joined, and open.
        outlet: the stream, shared with the cursors of its other rooms.
        page_permit: leave to hold a page, shared likewise; whoever waits longest is next.
        start: where to begin.
        caught_up_at: the sequence with which the replay is over.
    """

    def __init__(
        self,
        room: Room,
        outlet: Outlet,
        page_permit: asyncio.Semaphore,
        start: Start,
        caught_up_at: int,
    ) -> None:
        self.room = room
        self._outlet = outlet
        self._page_permit = page_permit
        self._holds_permit = False
        self._epoch = room.log.epoch
        self._next_sequence = start.next_sequence
        self._resumes = start.resumes
        self._caught_up_at: int | None = caught_up_at
        self._break: _Break | None = None
        self._page: deque[Run] = deque()
        self._fetch: asyncio.Task[None] | None = None

    @property
    def place(self) -> Place:
        """Behind what was written; a break that was not told yet is to be told to who resumes."""
        if self._break is not None:
            return Place(self.room.name, self._break.after.epoch, self._break.after.sequence)
        return Place(self.room.name, self._epoch, self._next_sequence - 1)

    def deliver(self) -> None:
        """Writes what there is, until the outlet refuses or the log's end is reached."""
        if self._fetch is not None or not (self._write_break() and self._write_page()):
            return
        log = self.room.log
        while self._next_sequence <= log.newest:
            run = log.run_from(self._next_sequence)
            if run is None:
                self._fetch = asyncio.create_task(self._fetch_page())
                return
            if not self._write(run):
                return
        self._announce_caught_up()

    def tell_break(
        self, reason: Discontinuity.Reason.ValueType, after: Cursor, resumes_at: int
    ) -> None:
        """Tells the client, before anything else, that the log goes on elsewhere.

        Args:
            reason: why.
            after: where the client stood.
            resumes_at: the sequence from which the log is whole.
        """
        self._break = _Break(reason, after, resumes_at)

    def enter_epoch(self, head: Head, survived: int) -> None:
        """As RoomReader.enter_epoch: a client that was shown what is gone is told so."""
        self.close()
        after = Cursor(epoch=self._epoch, sequence=self._next_sequence - 1)
        self._epoch = head.epoch
        if self._break is not None:
            # Not told yet, and true still: from there, or from where this epoch begins.
            resumes_at = min(self._break.resumes_at, survived + 1)
            self.tell_break(self._break.reason, self._break.after, resumes_at)
        elif after.sequence > survived:
            self.tell_break(Discontinuity.REASON_EPOCH, after, survived + 1)
        if self._caught_up_at is not None:
            self._caught_up_at = head.sequence

    def end(self, error: NotecastError) -> None:
        """As RoomReader.end."""
        self._outlet.end(error)

    def close(self) -> None:
        """Ends what is under way, and drops what was fetched and not written."""
        if self._fetch is not None:
            self._fetch.cancel()
            self._fetch = None
        self._page.clear()
        self._give_permit_back()

    def _give_permit_back(self) -> None:
        if self._holds_permit:
            self._holds_permit = False
            self._page_permit.release()

    def _write_break(self) -> bool:
        if self._break is None:
            return True
        reason, after, resumes_at = self._break
        place = Cursor(epoch=self._epoch, sequence=resumes_at)
        frame = discontinuity_frame(self.room.name, reason, after, place)
        if not self._write(Run(frame, resumes_at)):
            return False
        self._break = None
        return True

    def _write_page(self) -> bool:
        while self._page:
            if not self._write(self._page[0]):
                return False
            self._page.popleft()
        self._give_permit_back()
        return True

    def _write(self, run: Run) -> bool:
        # Of a run whose notes are all gone only its end counts.
        if run.body and not self._outlet.write(run.body):
            return False
        self._next_sequence = run.next_sequence
        self._resumes = True
        return True

    def _announce_caught_up(self) -> None:
        if self._caught_up_at is None or self._next_sequence <= self._caught_up_at:
            return
        frame = caught_up_frame(self.room.name, self._epoch, self._next_sequence - 1)
        if self._outlet.write(frame):
            self._caught_up_at = None

    async def _fetch_page(self) -> None:
        await self._page_permit.acquire()
        self._holds_permit = True
        try:
            page = await self._read_page()
        except Exception:  # a fault of ours: better a stream that ends than one that waits
            _log.exception("replay_failed", room=self.room.name)
            self._outlet.end(InternalFaultError("the replay failed"))
            return
        if page.first_remaining > self._next_sequence and self._resumes:
            after = Cursor(epoch=self._epoch, sequence=self._next_sequence - 1)
            self.tell_break(Discontinuity.REASON_RETENTION, after, page.first_remaining)
        self._page.extend(page.runs)
        self._fetch = None
        self.deliver()

    async def _read_page(self) -> PastPage:
        """Waits for history as long as it takes."""
        backoff = Backoff()
        while True:
            try:
                return await self.room.read_past(self._next_sequence - 1)
            except HistoryUnavailableError as error:
                _log.warning("replay_waits", error=str(error))
                await asyncio.sleep(backoff.next_delay())
