"""The rooms that this gateway serves, and the one way into them."""

import asyncio
from collections.abc import Callable

import structlog

from chat_gateway.announcement import decode_announcement
from chat_gateway.live_feed import LiveFeed
from chat_gateway.room import Room
from chat_gateway.shared_heads import SharedHeads
from notecast_runtime.errors import NotecastError, TooManyRoomsError
from notecast_runtime.keyspace import live_channel, room_of_channel

RoomFactory = Callable[[str], Room]
"""Makes a room by its name."""

_log = structlog.get_logger(__name__)


class _Entry:
    """A room, being opened or open, and how many hold it."""

    __slots__ = ("holders", "opening", "room")

    def __init__(self, room: Room, opening: asyncio.Task[None]) -> None:
        self.room = room
        self.opening: asyncio.Task[None] | None = opening
        """None once it is open."""
        self.holders = 0


class Hub:
    """Opens a room for its first reader, closes it behind its last.

    Args:
        make_room: makes a room.
        feed: brings what is accepted in the rooms that are open.
        shared_heads: says where rooms stand.
        max_rooms: bound on the rooms that are open or about to be.

    Attributes:
        changes: how often `open_rooms` has changed so far.
    """

    def __init__(
        self, make_room: RoomFactory, feed: LiveFeed, shared_heads: SharedHeads, max_rooms: int
    ) -> None:
        self._make_room = make_room
        self._feed = feed
        self._shared_heads = shared_heads
        self._max_rooms = max_rooms
        self.changes = 0
        self._entries: dict[str, _Entry] = {}
        self._closed_by: NotecastError | None = None

    async def join(self, name: str) -> Room:
        """The room, open. Whoever joins also leaves. The caller bounds the wait.

        Raises:
            TooManyRoomsError: the room is not open, and no further one may be.
            RedisUnavailableError: Redis did not say where the room stands.
            NotecastError: what `close` was given.
        """
        self.check_open()
        entry = self._entries.get(name) or self._begin(name)
        entry.holders += 1
        if entry.opening is not None:
            try:
                await asyncio.shield(entry.opening)
            except BaseException:
                self._release(entry)
                raise
        return entry.room

    def check_open(self) -> None:
        """Raises what `close` was given, if it was."""
        if self._closed_by is not None:
            raise self._closed_by

    def leave(self, room: Room) -> None:
        """Gives the room back; the last one to do so closes it."""
        entry = self._entries.get(room.name)
        if entry is not None and entry.room is room:
            self._release(entry)

    def hear(self, channel: str, payload: bytes) -> None:
        """Hands a live message to its room; one that can't be read is logged and dropped."""
        entry = self._entries.get(room_of_channel(channel))
        if entry is None:
            return  # the last reader has just left
        try:
            entry.room.hear(decode_announcement(payload))
        except ValueError as error:
            _log.error("announcement_unreadable", channel=channel, error=str(error))

    def open_rooms(self) -> dict[str, Room]:
        """The rooms that are open, by name."""
        return {name: entry.room for name, entry in self._entries.items() if entry.room.is_open}

    def holds(self, room: Room) -> bool:
        """Whether the room is still open, and has not been closed and opened anew."""
        entry = self._entries.get(room.name)
        return entry is not None and entry.room is room and room.is_open

    def close(self, error: NotecastError) -> None:
        """Ends every stream with the error, and lets nobody join any more."""
        self._closed_by = error
        for entry in tuple(self._entries.values()):
            entry.room.end(error)

    def _begin(self, name: str) -> _Entry:
        if len(self._entries) >= self._max_rooms:
            raise TooManyRoomsError(self._max_rooms)
        room = self._make_room(name)
        opening = asyncio.create_task(self._open(room))
        entry = _Entry(room, opening)
        opening.add_done_callback(lambda task: self._opened(entry, task))
        self._entries[name] = entry
        return entry

    async def _open(self, room: Room) -> None:
        # In this order: what is accepted after the confirmation is heard, what was
        # accepted before the head was read is in the log. Nothing falls in between.
        await self._feed.subscribe(live_channel(room.name))
        head = (await self._shared_heads.read([room.name]))[room.name]
        room.open(head)

    def _opened(self, entry: _Entry, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        if task.exception() is None:
            entry.opening = None
            self.changes += 1
        else:
            self._forget(entry)  # the next one to come tries again

    def _release(self, entry: _Entry) -> None:
        entry.holders -= 1
        if not entry.holders:
            self._forget(entry)

    def _forget(self, entry: _Entry) -> None:
        if self._entries.get(entry.room.name) is entry:
            del self._entries[entry.room.name]
            if entry.opening is not None:
                entry.opening.cancel()
            entry.room.close()
            self.changes += 1
            self._feed.unsubscribe(live_channel(entry.room.name))
