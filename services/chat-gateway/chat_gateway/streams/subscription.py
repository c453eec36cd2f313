"""One client's stream: its positions in its rooms, written to one outlet."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from chat_gateway.log.cursors import Start
from chat_gateway.log.event_bytes import reconnect_frame
from chat_gateway.log.positions import RoomPosition
from chat_gateway.log.ring import Encoding, Run
from chat_gateway.rooms.hub import Hub
from chat_gateway.rooms.room import Room
from chat_gateway.streams.joining import Joined
from chat_gateway.streams.room_cursor import RoomCursor
from chat_gateway.streams.streams import Streams
from chat_gateway.transport.outlet import Outlet
from notecast.v1.event_pb2 import Discontinuity
from notecast_runtime.errors import NotecastError, SlowReaderError
from notecast_runtime.status import OK, Ending, ending_of
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.held_bytes import Holder

_MAX_LOGGED_ROOMS: Final = 16
"""Bound on the positions in a log line; a room's name has 128 bytes at most."""


class Subscription:
    """A stream, from its request to its end.

    In each room it is either at the live tail, which it shares with others, or it has a cursor
    of its own. A gateway may have many thousands of idle streams, so these are small: no task, no
    queue, no cursor. Implements `room.RoomReader`, `room_cursor.Stream` and `streams.Stream`.

    Args:
        hub: its rooms are left there at the end.
        streams: counts it as open.
        encode: makes the client's messages.
        client: the client that it belongs to.
    """

    __slots__ = (
        "_cursors",
        "_ending",
        "_farewell",
        "_hub",
        "_outlet",
        "_page_permit",
        "_rooms",
        "_streams",
        "_turn",
        "client",
        "encode",
        "is_blocked",
    )

    def __init__(self, hub: Hub, streams: Streams, encode: Encoding, client: ClientId) -> None:
        self.encode = encode
        self.client = client
        self.is_blocked = False
        self._hub = hub
        self._streams = streams
        self._outlet: Outlet | None = None
        self._rooms: tuple[Room, ...] = ()
        self._cursors: tuple[RoomCursor, ...] = ()
        self._turn = 0
        self._page_permit: asyncio.Semaphore | None = None
        self._farewell: bytes | None = None
        self._ending: Ending | None = None

    def begin(self, joined: Sequence[Joined]) -> None:
        """Takes its positions in rooms that were just joined; sends nothing before `flow`."""
        self._rooms = tuple(each.room for each in joined)
        self._cursors = tuple(self._placed(each) for each in joined)

    def flow(self, outlet: Outlet) -> None:
        """Starts to deliver, until the outlet is done."""
        self._outlet = outlet
        outlet.on_done(self.finish)
        if self._ending is None:
            self._deliver()
        else:
            self._say_end()  # it was ended before it flowed

    @property
    def outlet(self) -> Outlet:
        """The outlet that it writes to; only once the stream flows."""
        assert self._outlet is not None, "the stream does not flow yet"  # noqa: S101 - ours to keep
        return self._outlet

    @property
    def page_permit(self) -> asyncio.Semaphore:
        """Permit to hold a page of history; see `room_cursor.Stream.page_permit`."""
        if self._page_permit is None:
            self._page_permit = asyncio.Semaphore()
        return self._page_permit

    @property
    def waiting_since(self) -> float | None:
        """Time since which pending data has made no progress; None once the stream was ended."""
        outlet = self._outlet
        return None if outlet is None or self._ending is not None else outlet.waiting_since

    def write(self, message: bytes) -> bool:
        """Writes a message if there is room; see `room_cursor.Stream.write`."""
        if self._outlet is None or self.is_blocked:
            return False
        if self._outlet.write(message):
            return True
        self._block()
        return False

    def hold(self, holder: Holder, size: int) -> None:
        """Counts data that is held for this stream; see `Outlet.hold`."""
        if self._outlet is not None:
            self._outlet.hold(holder, size)

    def go_live(self, cursor: RoomCursor) -> None:
        """Moves from a cursor to the live tail of its room."""
        cursor.close()
        self._cursors = tuple(each for each in self._cursors if each is not cursor)
        if not self._cursors:
            self._page_permit = None
        cursor.room.readers.tail.add(self)

    def fall_behind(self, room: Room, next_sequence: int, *, is_blocked: bool) -> None:
        """Moves from the live tail of a room to a cursor; see `RoomReader.fall_behind`."""
        cursor = RoomCursor(room, self, Start(next_sequence, resumes=True))
        self._cursors = (*self._cursors, cursor)
        if is_blocked:
            self._block()

    def end(self, error: NotecastError) -> None:
        """Leaves all rooms, and ends the stream with the error, after what was written to it.

        So its client can resume from the positions that the error names. The status waits until the
        client has read what comes before it. Until then the stream counts as open: otherwise a
        client could keep more streams than it may have.
        """
        self._end(ending_of(error))

    def send_away(self, after_seconds: float) -> bool:
        """Sends `Reconnect` with its positions after what was written, then OK."""
        if self._outlet is None:
            return False
        frame = reconnect_frame(round(after_seconds * 1000), self._positions())
        (farewell,) = self.encode(Run(frame, 0))
        if farewell.body and self._ending is None:
            self._farewell = farewell.body
            self._end(OK)
        return True

    def log_fields(self) -> Mapping[str, object]:
        """Fields of a log line: origin, client, number of rooms, first rooms' positions."""
        origin = {} if self._outlet is None else self._outlet.origin.fields()
        positions = [position._asdict() for position in self._positions()[:_MAX_LOGGED_ROOMS]]
        return {
            **origin,
            "client": self.client.address,
            "rooms": len(self._rooms),
            "positions": positions,
        }

    def end_as_slow(self, waited_seconds: float, limit_seconds: float) -> None:
        """Ends the stream: its client has read nothing for too long."""
        self.end(SlowReaderError(self._positions(), waited_seconds, limit_seconds))

    def finish(self) -> None:
        """Frees all that it holds: the stream has ended, or did not start."""
        self._leave()
        self._streams.discard(self)
        self._outlet = None

    def _placed(self, joined: Joined) -> RoomCursor:
        cursor = RoomCursor(joined.room, self, joined.start, joined.caught_up_at)
        if joined.after is not None:
            reason, resumes_at = Discontinuity.REASON_EPOCH, joined.start.next_sequence
            cursor.tell_break(reason, joined.after, resumes_at)
        return cursor

    def _positions(self) -> list[RoomPosition]:
        behind = {cursor.room: cursor.position for cursor in self._cursors}
        return [behind.get(room) or room.live_position for room in self._rooms]

    def _block(self) -> None:
        self.is_blocked = True
        self.outlet.on_writable(self._resume)

    def _resume(self) -> None:
        self.is_blocked = False
        if self._ending is None:
            self._deliver()
        else:
            self._say_end()

    def _end(self, ending: Ending) -> None:
        if self._ending is not None:
            return
        self._ending = ending
        self._leave()
        if not self.is_blocked:
            self._say_end()

    def _say_end(self) -> None:
        if self._outlet is None or self._ending is None:
            return
        if self._farewell is not None:
            if not self.write(self._farewell):
                return  # written once there is room
            self._farewell = None
        self._outlet.end(*self._ending)

    def _deliver(self) -> None:
        # The cursor that is served first is last the next time: a busy room starves no other.
        self._turn = (self._turn + 1) % max(len(self._cursors), 1)
        for cursor in self._cursors[self._turn :] + self._cursors[: self._turn]:
            cursor.deliver()

    def _leave(self) -> None:
        for cursor in self._cursors:
            cursor.close()
        for room in self._rooms:
            if self._outlet is not None:
                room.readers.tail.discard(self)
            self._hub.leave(room, self.client)
        self._rooms = ()
        self._cursors = ()
