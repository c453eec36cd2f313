"""One client's stream: a cursor in each of its rooms, written to one outlet."""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from chat_gateway.cursors import Start, resolve_start
from chat_gateway.frames import caught_up_frame, discontinuity_frame
from chat_gateway.heads import Head, Heads
from chat_gateway.hub import Hub
from chat_gateway.outlet import Outlet
from chat_gateway.ring import Run
from chat_gateway.room import Room
from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.event_pb2 import Discontinuity
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.backoff import Backoff
from notecast_runtime.errors import (
    HistoryUnavailableError,
    NotecastError,
    RedisUnavailableError,
)

_log = structlog.get_logger(__name__)


class RoomCursor:
    """A stream's place in one room; implements `RoomReader`.

    It has no queue: what it has yet to write is in the room's ring, or behind the ring in
    history, of which it holds one page at most.

    Args:
        room: joined, and open.
        outlet: the stream, shared with the cursors of its other rooms.
        start: where to begin.
        caught_up_at: the sequence with which the replay is over.
    """

    def __init__(self, room: Room, outlet: Outlet, start: Start, caught_up_at: int) -> None:
        self.room = room
        self._outlet = outlet
        self._epoch = room.log.epoch
        self._next_sequence = start.next_sequence
        self._resumes = start.resumes
        self._caught_up_at: int | None = caught_up_at
        self._page: deque[Run] = deque()
        self._fetch: asyncio.Task[None] | None = None

    def deliver(self) -> None:
        """Writes what there is, until the outlet refuses or the log's end is reached."""
        if self._fetch is not None or not self._write_page():
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
        place = Cursor(epoch=self._epoch, sequence=resumes_at)
        frame = discontinuity_frame(self.room.name, reason, after, place)
        self._page.append(Run(frame, resumes_at))

    def enter_epoch(self, head: Head, survived: int) -> None:
        """As RoomReader.enter_epoch: a client that was shown what is gone is told so."""
        self.close()
        after = Cursor(epoch=self._epoch, sequence=self._next_sequence - 1)
        self._epoch = head.epoch
        if after.sequence > survived:
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

    def _write_page(self) -> bool:
        while self._page:
            if not self._write(self._page[0]):
                return False
            self._page.popleft()
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
        backoff = Backoff()
        while True:
            try:
                page = await self.room.read_past(self._next_sequence - 1)
            except HistoryUnavailableError as error:
                _log.warning("replay_waits", error=str(error))
                await asyncio.sleep(backoff.next_delay())
            else:
                break
        if page.first_remaining > self._next_sequence and self._resumes:
            after = Cursor(epoch=self._epoch, sequence=self._next_sequence - 1)
            self.tell_break(Discontinuity.REASON_RETENTION, after, page.first_remaining)
        self._page.extend(page.runs)
        self._fetch = None
        self.deliver()


class Subscription:
    """The cursors of one stream.

    Args:
        hub: where rooms are joined and left.
        heads: says where rooms stand.
        outlet: the stream.
    """

    def __init__(self, hub: Hub, heads: Heads, outlet: Outlet) -> None:
        self._hub = hub
        self._heads = heads
        self._outlet = outlet
        self._rooms: dict[str, Room] = {}
        self._cursors: list[RoomCursor] = []
        outlet.on_writable(self._deliver)

    async def open(self, wanted: Sequence[RoomSubscription], timeout_seconds: float) -> None:
        """Joins the rooms, and begins to deliver.

        Args:
            wanted: validated.
            timeout_seconds: bound on the wait.

        Raises:
            InvalidRequestError: a cursor is one that its room has not reached.
            RedisUnavailableError: Redis did not answer in time.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._join_all(wanted)
                heads = await self._read_heads()
                for index, each in enumerate(wanted):
                    await self._begin(each, f"subscriptions[{index}]", heads[each.room])
        except TimeoutError:
            raise RedisUnavailableError("Redis did not answer in time") from None
        self._deliver()

    def close(self) -> None:
        """Leaves all rooms."""
        for cursor in self._cursors:
            cursor.close()
            cursor.room.readers.discard(cursor)
        for room in self._rooms.values():
            self._hub.leave(room)
        self._cursors = []
        self._rooms = {}

    async def _join_all(self, wanted: Sequence[RoomSubscription]) -> None:
        try:
            async with asyncio.TaskGroup() as joining:
                for each in wanted:
                    joining.create_task(self._join(each.room))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _join(self, name: str) -> None:
        self._rooms[name] = await self._hub.join(name)

    async def _read_heads(self) -> dict[str, Head]:
        """Where the rooms stand, each in the epoch that its log is in."""
        while True:
            heads = await self._heads.read(self._rooms)
            for name, room in self._rooms.items():
                await room.reach(heads[name].epoch)
            if all(heads[name].epoch == room.log.epoch for name, room in self._rooms.items()):
                return heads

    async def _begin(self, wanted: RoomSubscription, field: str, head: Head) -> None:
        room = self._rooms[wanted.room]
        earlier = wanted.HasField("after") and wanted.after.epoch < head.epoch
        ends = (await self._heads.past(room.name)).ends if earlier else ()
        start = resolve_start(wanted, field, head, ends)
        cursor = RoomCursor(room, self._outlet, start, caught_up_at=head.sequence)
        if start.broken:
            cursor.tell_break(Discontinuity.REASON_EPOCH, wanted.after, start.next_sequence)
        room.readers.add(cursor)
        self._cursors.append(cursor)

    def _deliver(self) -> None:
        # The cursor served first goes last the next time: a busy room starves no other.
        self._cursors = self._cursors[1:] + self._cursors[:1]
        for cursor in self._cursors:
            cursor.deliver()
