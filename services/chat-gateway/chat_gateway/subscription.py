"""One client's stream: a cursor in each of its rooms, written to one outlet."""

import asyncio
from collections.abc import Sequence

from chat_gateway.cursors import resolve_start
from chat_gateway.heads import Heads, Past
from chat_gateway.hub import Hub
from chat_gateway.outlet import Outlet
from chat_gateway.room import Room
from chat_gateway.room_cursor import RoomCursor
from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.event_pb2 import Discontinuity
from notecast_runtime.errors import RedisUnavailableError, SlowReaderError


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
        self._turn = 0
        self._page_permit = asyncio.Semaphore()
        outlet.on_writable(self._deliver)

    async def open(self, wanted: Sequence[RoomSubscription], timeout_seconds: float) -> None:
        """Joins the rooms, and begins to deliver.

        Args:
            wanted: validated.
            timeout_seconds: bound on the wait.

        Raises:
            InvalidRequestError: a cursor is one that its room has not reached.
            TooManyRoomsError: a room is not open, and no further one may be.
            RedisUnavailableError: Redis did not answer in time.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._join_all(wanted)
                pasts = await self._read_pasts(wanted)
        except TimeoutError:
            raise RedisUnavailableError("Redis did not answer in time") from None
        self._hub.check_open()  # else nobody would end this stream
        for index, each in enumerate(wanted):
            self._begin(each, f"subscriptions[{index}]", pasts[each.room])
        self._deliver()

    @property
    def waiting_since(self) -> float | None:
        """As Outlet.waiting_since."""
        return self._outlet.waiting_since

    def cut(self, waited_seconds: float, limit_seconds: float) -> None:
        """Ends the stream: its client has read nothing for too long."""
        places = [cursor.place for cursor in self._cursors]
        self._outlet.cut(SlowReaderError(places, waited_seconds, limit_seconds))

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

    async def _read_pasts(self, wanted: Sequence[RoomSubscription]) -> dict[str, Past]:
        """Where the rooms stand, each in the epoch that its log is in now.

        And how earlier epochs ended, where a cursor asks for it. Whoever begins with this
        must do so at once: a room may enter the next epoch whenever somebody waits.
        """
        while True:
            heads = await self._heads.read(self._rooms)
            for name, room in self._rooms.items():
                await room.reach(heads[name].epoch)
            pasts = {name: Past(head, ()) for name, head in heads.items()}
            for each in wanted:
                if each.HasField("after") and each.after.epoch < heads[each.room].epoch:
                    pasts[each.room] = await self._heads.past(each.room)
            if all(pasts[name].head.epoch == room.log.epoch for name, room in self._rooms.items()):
                return pasts

    def _begin(self, wanted: RoomSubscription, field: str, past: Past) -> None:
        room = self._rooms[wanted.room]
        head, ends = past
        start = resolve_start(wanted, field, head, ends)
        cursor = RoomCursor(room, self._outlet, self._page_permit, start, head.sequence)
        if start.broken:
            cursor.tell_break(Discontinuity.REASON_EPOCH, wanted.after, start.next_sequence)
        room.readers.add(cursor)
        self._cursors.append(cursor)

    def _deliver(self) -> None:
        # The cursor served first goes last the next time: a busy room starves no other.
        self._turn = (self._turn + 1) % max(len(self._cursors), 1)
        for cursor in self._cursors[self._turn :] + self._cursors[: self._turn]:
            cursor.deliver()
