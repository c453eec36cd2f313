"""A stream's position in a room behind the live tail, and what it has yet to be sent from there."""

import asyncio
from collections import deque
from typing import Final, NamedTuple, Protocol

import structlog

from chat_gateway.log.cursors import Start
from chat_gateway.log.encodings import Encoding
from chat_gateway.log.event_bytes import caught_up_frame, discontinuity_frame
from chat_gateway.log.positions import Head
from chat_gateway.log.ring import Run
from chat_gateway.rooms.past_reader import PastPage
from chat_gateway.rooms.room import Room
from notecast.v1.event_pb2 import Discontinuity
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.backoff import Backoff
from notecast_runtime.errors import (
    InternalFaultError,
    NotecastError,
    RoomPosition,
    UnavailableError,
)
from notecast_runtime.tasks import not_cancelled
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.held_bytes import Holder
from notecast_wire.fairness.shares import ShareRefusal

_log = structlog.get_logger(__name__)


_MANY_NOTES: Final = 1 << 20
"""No bound of a cursor's own on what it reads at once."""

_FEW_NOTES: Final = 16
"""So many are read at least by a cursor whose pages were dropped."""

_FIRST_BYTES: Final = 262_144
"""Of the first page, of which the last response comes on top: many a stream takes no more. A
thousand notes of the usual size fit: a second page costs each stream of a storm of joins much."""

_MOST_SHARERS: Final = 8


class Stream(Protocol):
    """What a cursor writes to, shared with the cursors of the stream's other rooms."""

    encode: Encoding

    client: ClientId
    """Whom it belongs to."""

    is_blocked: bool
    """Whether a write would be refused now."""

    @property
    def page_permit(self) -> asyncio.Semaphore:
        """Leave to hold a page of history; whoever waits longest is next."""

    def write(self, message: bytes) -> bool:
        """As Outlet.write; a refusal has the stream's cursors deliver once there is room."""

    def hold(self, holder: Holder, size: int) -> None:
        """As Outlet.hold."""

    def go_live(self, cursor: "RoomCursor") -> None:
        """Has the room's live tail go on where the cursor is; it is not needed any more."""

    def end(self, error: NotecastError) -> None:
        """Ends the stream."""


class _Break(NamedTuple):
    """What a client has yet to be told: behind `after` the log goes on at `resumes_at`."""

    reason: Discontinuity.Reason.ValueType
    after: Cursor
    resumes_at: int
    is_found: bool = False
    """Whether history was asked what retention has left from there on."""


class RoomCursor:
    """A stream's position in one room, while that is not the live tail.

    It has no queue: what it has yet to write is in the room's ring, or behind the ring in
    history, of which a stream holds one page at most, whatever the number of its rooms. While
    that waits for the client, it is counted as held for it, and where the client holds too much
    it is dropped: it can be read again.

    Args:
        room: joined, and open.
        stream: where to write.
        start: where to begin.
        caught_up_at: the sequence with which the replay is over; None: that was said already.
    """

    __slots__ = (
        "_break",
        "_caught_up_at",
        "_epoch",
        "_fetch",
        "_held",
        "_holds_permit",
        "_messages",
        "_most_notes",
        "_next_sequence",
        "_page",
        "_page_begin",
        "_page_bytes",
        "_page_readers",
        "_resumes",
        "_run_bytes",
        "_stream",
        "room",
    )

    def __init__(
        self, room: Room, stream: Stream, start: Start, caught_up_at: int | None = None
    ) -> None:
        self.room = room
        self._stream = stream
        self._epoch = room.log.epoch
        self._next_sequence = start.next_sequence
        self._resumes = start.resumes
        self._caught_up_at = caught_up_at
        self._break: _Break | None = None
        self._page: deque[Run] = deque()
        self._page_bytes = 0  # of its runs that are not written whole
        self._run_bytes = 0  # of the one that is being written
        self._messages: deque[Run] = deque()  # what was made of a run, and is not written yet
        self._page_begin = 0
        self._page_readers = 1
        self._most_notes = _MANY_NOTES
        self._held = 0
        self._holds_permit = False
        self._fetch: asyncio.Task[None] | None = None
        room.readers.behind.add(self)

    @property
    def position(self) -> RoomPosition:
        """Behind what was written; a break that was not told yet is to be told to who resumes."""
        if self._break is not None:
            return RoomPosition(self.room.name, self._break.after.epoch, self._break.after.sequence)
        return RoomPosition(self.room.name, self._epoch, self._next_sequence - 1)

    def deliver(self) -> None:
        """Writes what there is, until the outlet refuses or the live tail is reached.

        A fault of ours ends this stream, rather than that it silences others.
        """
        try:
            if self._may_write() and self._write_all() and self._stands_at_the_tail():
                self._stream.go_live(self)
        except Exception:
            self._fail("delivery_failed")
        if self._page or self._held:
            self._count_held()

    def lose(self, _held: object, _refusal: ShareRefusal) -> None:
        """As Holder.lose: reads again what waits, less at a time, once the client takes more."""
        written = self._next_sequence - self._page_begin
        self._most_notes = min(max(written, _FEW_NOTES), self._most_notes)
        if self._break is not None:
            self._break = self._break._replace(is_found=False)
        self._drop_page()

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
        """As ReaderBehind.enter_epoch: a client that was shown what is gone is told so."""
        self._drop_what_was_read()
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
        """As ReaderBehind.end."""
        self._stream.end(error)

    def close(self) -> None:
        """Gives the place up, ends what is under way, and drops what was not written."""
        self.room.readers.behind.discard(self)
        self._drop_what_was_read()

    def _drop_what_was_read(self) -> None:
        if self._fetch is not None:
            self._fetch.cancel()
            self._fetch = None
        self._drop_page()

    def _drop_page(self) -> None:
        self._messages.clear()
        self._page.clear()
        self._page_bytes = self._run_bytes = 0
        self._give_permit_back()
        self._count_held()

    def _count_held(self) -> None:
        """Says how much is held of history, for as long as it waits to be written.

        What others have read together with this stream is there but once. It counts for as many of
        them as can't be far wrong when the others have gone on.
        """
        held = 0
        if self._page:
            held = self._page_bytes // min(self._page_readers, _MOST_SHARERS)
        if held != self._held:
            self._held = held
            self._stream.hold(self, held)

    def _give_permit_back(self) -> None:
        if self._holds_permit:
            self._holds_permit = False
            self._stream.page_permit.release()

    def _may_write(self) -> bool:
        return self._fetch is None and not self._stream.is_blocked

    def _stands_at_the_tail(self) -> bool:
        """Whether the next round of the room is the next that is to be written.

        Not so where the round that brings what is in the ring already has yet to come.
        """
        return self._next_sequence == self.room.readers.tail.sequence + 1

    def _write_all(self) -> bool:
        return (
            self._write_break()
            and self._write_messages()
            and self._write_page()
            and self._follow_log()
            and self._announce_caught_up()
        )

    def _write_break(self) -> bool:
        if self._break is None:
            return True
        reason, after, resumes_at, is_found = self._break
        if not is_found and resumes_at < self.room.log.oldest:
            # Retention may have removed more: the client is told one break, not one after another.
            self._next_sequence = resumes_at
            self._fetch = asyncio.create_task(self._fetch_page())
            return False
        position = Cursor(epoch=self._epoch, sequence=resumes_at)
        if not self._say(discontinuity_frame(self.room.name, reason, after, position)):
            return False
        self._next_sequence = resumes_at
        self._resumes = True
        self._break = None
        return True

    def _write_page(self) -> bool:
        while self._page:
            run = self._page.popleft()
            self._page_bytes -= self._run_bytes
            self._run_bytes = len(run.body)
            if not self._write(run):
                return False
        self._page_bytes = self._run_bytes = 0
        if self._holds_permit:
            self._most_notes = min(2 * self._most_notes, _MANY_NOTES)
            self._give_permit_back()
        return True

    def _follow_log(self) -> bool:
        log = self.room.log
        while self._next_sequence <= log.newest:
            run = log.run_from(self._next_sequence)
            if run is None:
                self._fetch = asyncio.create_task(self._fetch_page())
                return False
            begun = self._next_sequence
            if not self._write(run):
                if self._next_sequence == begun:
                    self._messages.clear()  # the ring has it: who waits holds nothing
                return False
        return True

    def _announce_caught_up(self) -> bool:
        if self._caught_up_at is None:
            return True
        if self._next_sequence <= self._caught_up_at:
            return False
        if not self._say(caught_up_frame(self.room.name, self._epoch, self._next_sequence - 1)):
            return False
        self._resumes = True  # from here on the client has a cursor
        self._caught_up_at = None
        return True

    def _say(self, frame: bytes) -> bool:
        (message,) = self._stream.encode(Run(frame, self._next_sequence))
        return not message.body or self._stream.write(message.body)

    def _write(self, run: Run) -> bool:
        self._messages.extend(self._stream.encode(run))
        return self._write_messages()

    def _write_messages(self) -> bool:
        while self._messages:
            body, next_sequence = self._messages[0]
            if body and not self._stream.write(body):
                return False
            self._messages.popleft()
            self._next_sequence = next_sequence
            # A client that was shown nothing yet misses nothing that retention removes.
            self._resumes = self._resumes or bool(body)
        return True

    async def _fetch_page(self) -> None:
        await self._stream.page_permit.acquire()
        self._holds_permit = True
        if self._stream.is_blocked:
            # Nothing is read for a client that takes nothing; it delivers once there is room.
            self._fetch = None
            self._give_permit_back()
            return
        try:
            page = await self._read_page()
        except Exception:
            self._fail("replay_failed")
            return
        except asyncio.CancelledError:
            if not_cancelled():  # the cursor was not closed: it would write nothing any more
                self._fail("replay_failed")
            raise
        self._note_what_is_gone(page)
        self._page.extend(page.runs)
        self._page_bytes += sum(len(run.body) for run in page.runs)
        self._page_begin = self._next_sequence
        self._page_readers = page.readers
        self._fetch = None
        self.deliver()

    def _note_what_is_gone(self, page: PastPage) -> None:
        first_remaining = page.first_remaining
        if self._break is not None:
            resumes_at = max(self._break.resumes_at, first_remaining)
            self._break = self._break._replace(resumes_at=resumes_at, is_found=True)
        elif page.nothing_missed:
            pass  # the sequences up to there never were any note's
        elif first_remaining > self._next_sequence and self._resumes:
            after = Cursor(epoch=self._epoch, sequence=self._next_sequence - 1)
            reason = Discontinuity.REASON_RETENTION
            self._break = _Break(reason, after, first_remaining, is_found=True)

    async def _read_page(self) -> PastPage:
        """Waits for history as long as it takes."""
        backoff = Backoff()
        while True:
            try:
                return await self.room.read_past(
                    self._next_sequence - 1,
                    self._stream.client,
                    self._most_notes,
                    None if self._page_begin else _FIRST_BYTES,
                )
            except UnavailableError as error:
                _log.warning("replay_waits", error=str(error))
                await asyncio.sleep(backoff.next_delay())

    def _fail(self, event: str) -> None:
        _log.exception(event, room=self.room.name)
        self._stream.end(InternalFaultError("the delivery failed"))
