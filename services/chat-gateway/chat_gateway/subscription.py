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
from chat_gateway.room import PastPage, Room
from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.event_pb2 import Discontinuity
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.backoff import Backoff
from notecast_runtime.errors import HistoryUnavailableError, NotecastError

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
        self._next_sequence, self._resumes = start
        self._caught_up_at: int | None = caught_up_at
        self._page: deque[bytes] = deque()
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
            if run.body and not self._outlet.write(run.body):
                return
            self._next_sequence = run.next_sequence
            self._resumes = True
        self._announce_caught_up()

    def restart(self, head: Head) -> None:
        """As RoomReader.restart: tells the client, and goes on with the new epoch's first."""
        self.close()
        self._page.append(
            discontinuity_frame(
                self.room.name,
                Discontinuity.REASON_EPOCH,
                Cursor(epoch=self._epoch, sequence=self._next_sequence - 1),
                Cursor(epoch=head.epoch, sequence=1),
            )
        )
        self._epoch = head.epoch
        self._next_sequence = 1
        if self._caught_up_at is not None:
            self._caught_up_at = head.sequence

    def end(self, error: NotecastError) -> None:
        """As RoomReader.end."""
        self._outlet.end(error)

    def close(self) -> None:
        """Ends what is under way, and drops what was fetched."""
        if self._fetch is not None:
            self._fetch.cancel()
            self._fetch = None
        self._page.clear()

    def _write_page(self) -> bool:
        while self._page:
            if not self._outlet.write(self._page[0]):
                return False
            self._page.popleft()
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
        self._take(page)
        self._fetch = None
        self.deliver()

    def _take(self, page: PastPage) -> None:
        if page.first_remaining > self._next_sequence and self._resumes:
            self._page.append(
                discontinuity_frame(
                    self.room.name,
                    Discontinuity.REASON_RETENTION,
                    Cursor(epoch=self._epoch, sequence=self._next_sequence - 1),
                    Cursor(epoch=self._epoch, sequence=page.first_remaining),
                )
            )
        self._page.extend(page.bodies)
        self._next_sequence = page.next_sequence
        self._resumes = True


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

    async def open(self, wanted: Sequence[RoomSubscription]) -> None:
        """Joins the rooms, and begins to deliver.

        Args:
            wanted: validated.

        Raises:
            InvalidRequestError: a cursor is one that its room has not reached.
            RedisUnavailableError: Redis did not answer in time.
        """
        try:
            async with asyncio.TaskGroup() as joining:
                for each in wanted:
                    joining.create_task(self._join(each.room))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        heads = await self._heads.read(self._rooms)
        for index, each in enumerate(wanted):
            self._begin(each, f"subscriptions[{index}]", heads[each.room])
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

    async def _join(self, name: str) -> None:
        self._rooms[name] = await self._hub.join(name)

    def _begin(self, wanted: RoomSubscription, field: str, head: Head) -> None:
        room = self._rooms[wanted.room]
        if head.epoch > room.log.epoch:
            room.hear_head(head)
        start = resolve_start(wanted, field, head)
        cursor = RoomCursor(room, self._outlet, start, caught_up_at=head.sequence)
        room.readers.add(cursor)
        self._cursors.append(cursor)

    def _deliver(self) -> None:
        # The cursor served first goes last the next time: a busy room starves no other.
        self._cursors = self._cursors[1:] + self._cursors[:1]
        for cursor in self._cursors:
            cursor.deliver()
