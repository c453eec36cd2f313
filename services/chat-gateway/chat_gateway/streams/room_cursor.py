"""A stream's position in a room, while it is not at the live tail, and what it is sent next."""

import asyncio
from collections import deque
from typing import Final, NamedTuple, Protocol

import structlog

from chat_gateway.log.cursors import Start
from chat_gateway.log.event_bytes import caught_up_frame, discontinuity_frame
from chat_gateway.log.positions import Head, RoomPosition
from chat_gateway.log.ring import Encoding, Run
from chat_gateway.rooms.past_reader import PastPage
from chat_gateway.rooms.room import Room
from notecast.v1.event_pb2 import Discontinuity
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.backoff import Backoff
from notecast_runtime.errors import (
    InternalFaultError,
    NotecastError,
    UnavailableError,
)
from notecast_runtime.tasks import not_cancelled
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.held_bytes import Holder
from notecast_wire.fairness.shares import ShareRefusal

_log = structlog.get_logger(__name__)


_MANY_NOTES: Final = 1 << 20
"""No bound of the cursor itself on a page."""

_FEW_NOTES: Final = 16
"""Minimum of a page for a cursor whose pages were dropped."""

_FIRST_BYTES: Final = 262_144
"""Bound on the first page, without its last response: many streams need no more. A thousand notes
of the usual size fit, because a second page is expensive for each stream of a storm of joins."""

_MOST_SHARERS: Final = 8


class Stream(Protocol):
    """The stream that a cursor writes to, shared with the cursors of its other rooms."""

    encode: Encoding

    client: ClientId
    """The client that it belongs to."""

    is_blocked: bool
    """Whether a write would be refused now."""

    @property
    def page_permit(self) -> asyncio.Semaphore:
        """Permit to hold a page of history; the cursor that waits longest is next."""

    def write(self, message: bytes) -> bool:
        """Writes a message if there is room; if not, the stream's cursors deliver once there is."""

    def hold(self, holder: Holder, size: int) -> None:
        """Counts data that is held for the stream; see `Outlet.hold`."""

    def go_live(self, cursor: "RoomCursor") -> None:
        """Moves the stream to the live tail of the cursor's room, and discards the cursor."""

    def end(self, error: NotecastError) -> None:
        """Ends the stream."""


class _Break(NamedTuple):
    """A break that the client must be told: after `after` the log continues at `resumes_at`."""

    reason: Discontinuity.Reason.ValueType
    after: Cursor
    resumes_at: int
    is_found: bool = False
    """Whether history was asked what retention has kept from there on."""


class RoomCursor:
    """A stream's position in one room, while that is not the live tail.

    It has no queue: what it has yet to write is in the room's ring, or, if older, in history. A
    stream holds at most one page of history, however many rooms it has. A page that waits for the
    client counts as held for it. If the client holds too much, the page is dropped: it can be read
    again.

    Args:
        room: the room, joined and open.
        stream: the stream to write to.
        start: where to begin.
        caught_up_at: the last sequence of the replay; None: the client knows that it has caught up.
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
        self._page_bytes = 0  # of runs that are not written completely
        self._run_bytes = 0  # of the run that is being written
        self._messages: deque[Run] = deque()  # encoded from a run, not written yet
        self._page_begin = 0
        self._page_readers = 1
        self._most_notes = _MANY_NOTES
        self._held = 0
        self._holds_permit = False
        self._fetch: asyncio.Task[None] | None = None
        room.readers.behind.add(self)

    @property
    def position(self) -> RoomPosition:
        """The position up to which it has written; before a break that was not told yet."""
        if self._break is not None:
            return RoomPosition(self.room.name, self._break.after.epoch, self._break.after.sequence)
        return RoomPosition(self.room.name, self._epoch, self._next_sequence - 1)

    def deliver(self) -> None:
        """Writes what there is, until the outlet refuses or the live tail is reached.

        A bug ends this stream; it must not silence others.
        """
        try:
            if self._may_write() and self._write_all() and self._stands_at_the_tail():
                self._stream.go_live(self)
        except Exception:
            self._fail("delivery_failed")
        if self._page or self._held:
            self._count_held()

    def lose(self, _held: object, _refusal: ShareRefusal) -> None:
        """Drops the page; reads it again, less at a time, once the client takes more."""
        written = self._next_sequence - self._page_begin
        self._most_notes = min(max(written, _FEW_NOTES), self._most_notes)
        if self._break is not None:
            self._break = self._break._replace(is_found=False)
        self._drop_page()

    def tell_break(
        self, reason: Discontinuity.Reason.ValueType, after: Cursor, resumes_at: int
    ) -> None:
        """Tells the client, before anything else, that the log continues elsewhere.

        Args:
            reason: the reason to give.
            after: the client's position.
            resumes_at: the sequence from which the log is complete.
        """
        self._break = _Break(reason, after, resumes_at)

    def enter_epoch(self, head: Head, survived: int) -> None:
        """Enters an epoch; tells a client that was shown notes that are gone."""
        self._drop_what_was_read()
        after = Cursor(epoch=self._epoch, sequence=self._next_sequence - 1)
        self._epoch = head.epoch
        if self._break is not None:
            # Not told yet, and still true: the log continues there, or where this epoch begins.
            resumes_at = min(self._break.resumes_at, survived + 1)
            self.tell_break(self._break.reason, self._break.after, resumes_at)
        elif after.sequence > survived:
            self.tell_break(Discontinuity.REASON_EPOCH, after, survived + 1)
        if self._caught_up_at is not None:
            self._caught_up_at = head.sequence

    def end(self, error: NotecastError) -> None:
        """Ends the stream."""
        self._stream.end(error)

    def close(self) -> None:
        """Gives up the position, cancels reads, and drops what was not written."""
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
        """Reports the bytes of history that wait to be written.

        A page that several streams have read together is in memory once, so each reports a part of
        it. The divisor is bounded: other readers may have moved on.
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
        """Whether the room's next round brings the next note to write.

        Not if a round has yet to deliver what is in the ring already.
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
            # Retention may have removed more. The client is told one break, not several.
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
                    self._messages.clear()  # the ring has it: no need to hold it while waiting
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
            # A client that was shown nothing yet does not miss what retention removes.
            self._resumes = self._resumes or bool(body)
        return True

    async def _fetch_page(self) -> None:
        await self._stream.page_permit.acquire()
        self._holds_permit = True
        if self._stream.is_blocked:
            # The client takes nothing, so nothing is read; `deliver` runs once there is room.
            self._fetch = None
            self._give_permit_back()
            return
        try:
            page = await self._read_page()
        except Exception:
            self._fail("replay_failed")
            return
        except asyncio.CancelledError:
            if not_cancelled():  # not closed: the cursor would never write again
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
            pass  # no note ever had one of the sequences up to there
        elif first_remaining > self._next_sequence and self._resumes:
            after = Cursor(epoch=self._epoch, sequence=self._next_sequence - 1)
            reason = Discontinuity.REASON_RETENTION
            self._break = _Break(reason, after, first_remaining, is_found=True)

    async def _read_page(self) -> PastPage:
        """Reads a page; waits for history as long as it takes."""
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
