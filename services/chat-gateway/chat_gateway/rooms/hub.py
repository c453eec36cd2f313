"""The rooms that this gateway serves; readers join and leave them here."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from chat_gateway.log.announcement import decode_announcement
from chat_gateway.rooms.room import Room
from chat_gateway.rooms.room_places import RoomPlace, RoomPlaces
from chat_gateway.store.live_feed import LiveFeed
from chat_gateway.store.shared_heads import SharedHeads
from notecast_runtime.errors import NotecastError, TooManyRoomsError
from notecast_runtime.keyspace import live_channel, room_of_channel
from notecast_runtime.tasks import outcome_of
from notecast_wire.fairness.clients import ClientId

_LOOK_SECONDS: Final = 1.0

RoomFactory = Callable[[str], Room]
"""Makes a room by its name."""

_log = structlog.get_logger(__name__)


class _Entry:
    """A room that is open or being opened, with its place among the open rooms."""

    __slots__ = ("opening", "place", "room")

    def __init__(self, room: Room, place: RoomPlace, opening: asyncio.Task[None]) -> None:
        self.room = room
        self.place = place
        self.opening: asyncio.Task[None] | None = opening
        """None once it is open."""


class Hub:
    """Opens a room for its first reader, and closes it after its last.

    Args:
        make_room: makes a room.
        feed: brings the notes that are accepted in open rooms.
        shared_heads: reads the heads of rooms.
        places: bounds the rooms that are open or about to be, in total and for each client.

    Attributes:
        changes: the number of changes of `open_rooms` so far.
    """

    def __init__(
        self, make_room: RoomFactory, feed: LiveFeed, shared_heads: SharedHeads, places: RoomPlaces
    ) -> None:
        self._make_room = make_room
        self._feed = feed
        self._shared_heads = shared_heads
        self._places = places
        self.changes = 0
        self._entries: dict[str, _Entry] = {}
        self._closed_by: NotecastError | None = None
        self._next_look_at = 0.0

    async def join(self, name: str, client: ClientId) -> Room:
        """Opens the room if it is not open, and joins it. A caller that joins must also leave.

        The caller bounds the wait.

        Raises:
            TooManyRoomsError: the room is not open, and a bound is reached: on all rooms, on those
                of this client, or on rooms that nobody has written to.
            RedisUnavailableError: Redis did not give the room's head.
            NotecastError: the error that `close` was given.
        """
        self.check_open()
        entry = self._entries.get(name) or self._begin(name, client)
        entry.place.hold(client)
        if entry.opening is not None:
            try:
                await outcome_of(entry.opening)
            except BaseException:
                self._release(entry, client)
                raise
        return entry.room

    def check_open(self) -> None:
        """Raises the error that `close` was given, if it was called."""
        if self._closed_by is not None:
            raise self._closed_by

    def leave(self, room: Room, client: ClientId) -> None:
        """Leaves a room; the last reader to leave closes it."""
        entry = self._entries.get(room.name)
        if entry is not None and entry.room is room:
            self._release(entry, client)

    def on_live_message(self, channel: str, payload: bytes) -> None:
        """Passes a live message to its room; logs and drops one that can't be decoded."""
        entry = self._entries.get(room_of_channel(channel))
        if entry is None:
            return  # the last reader has just left
        try:
            entry.room.on_announcement(decode_announcement(payload))
        except ValueError as error:
            _log.error("announcement_unreadable", channel=channel, error=str(error))

    def open_rooms(self) -> dict[str, Room]:
        """The rooms that are open, by name."""
        return {name: entry.room for name, entry in self._entries.items() if entry.room.is_open}

    def holds(self, room: Room) -> bool:
        """Whether this room is still open, and was not closed and opened anew."""
        entry = self._entries.get(room.name)
        return entry is not None and entry.room is room and room.is_open

    def close(self, error: NotecastError) -> None:
        """Ends every stream with the error, and refuses to open or join rooms from now on."""
        self._closed_by = error
        for entry in tuple(self._entries.values()):
            entry.room.end(error)

    def _begin(self, name: str, client: ClientId) -> _Entry:
        place = self._places.open(client)
        room = self._make_room(name)
        opening = asyncio.create_task(self._open(room, place))
        entry = _Entry(room, place, opening)
        opening.add_done_callback(lambda task: self._opened(entry, task))
        self._entries[name] = entry
        return entry

    async def _open(self, room: Room, place: RoomPlace) -> None:
        # In this order: a note that is accepted after the confirmation is received live, and one
        # that was accepted before the head was read is in the log. None falls in between.
        await self._feed.subscribe(live_channel(room.name))
        head = (await self._shared_heads.read([room.name]))[room.name]
        if head.is_floor or not head.sequence:
            self._give_empty_place(place)
        room.open(head)

    def _give_empty_place(self, place: RoomPlace) -> None:
        """Counts a room as empty. If too many are, first looks which have notes by now."""
        try:
            self._places.empty(place)
        except TooManyRoomsError:
            self._look_at_empty_rooms()
            self._places.empty(place)

    def _look_at_empty_rooms(self) -> None:
        """Finds empty rooms that have notes by now; at most once a second: it takes 1 to 2 ms."""
        now = time.monotonic()
        if now < self._next_look_at:
            return
        self._next_look_at = now + _LOOK_SECONDS
        for entry in self._entries.values():
            if entry.place.empty_for is not None and entry.room.is_open and entry.room.has_notes:
                self._places.fill(entry.place)

    def _opened(self, entry: _Entry, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        if task.exception() is None:
            entry.opening = None
            self.changes += 1
        else:
            self._forget(entry)  # the next reader tries again

    def _release(self, entry: _Entry, client: ClientId) -> None:
        if self._entries.get(entry.room.name) is entry and not entry.place.release(client):
            self._forget(entry)

    def _forget(self, entry: _Entry) -> None:
        if self._entries.get(entry.room.name) is entry:
            del self._entries[entry.room.name]
            if entry.opening is not None:
                entry.opening.cancel()
            entry.room.close()
            self._places.close(entry.place)
            self.changes += 1
            self._feed.unsubscribe(live_channel(entry.room.name))
