"""Reads a room's log backwards, page by page."""

from collections import deque
from typing import NamedTuple

from history.logged_notes import merge, newest
from history.outbox_tail import OutboxTail
from history.room_log import LogPage, RoomLog
from notecast.v1.history_pb2 import LoggedNote


class NotesPage(NamedTuple):
    """A page of a listing, which goes backwards."""

    notes: list[LoggedNote]
    """The oldest first."""

    has_older: bool
    """Whether older notes remain."""


class Pager:
    """Reads pages from a room's stream, and from the outbox's tail if needed.

    Args:
        log: reads the rooms' streams.
        tail: reads what is not in them yet.
    """

    def __init__(self, log: RoomLog, tail: OutboxTail) -> None:
        self._log = log
        self._tail = tail

    async def page(self, room: str, before: int, page_size: int) -> NotesPage:
        """Reads the last notes below a sequence.

        Args:
            room: the room.
            before: only notes below this sequence; 0: the newest.
            page_size: the most notes, at least 1. Large notes make a page smaller, never empty.

        Raises:
            RedisUnavailableError: Redis does not answer.
        """
        # Reads one note more than asked for, to know whether older ones remain.
        count = page_size + 1
        head, log = await self._log.head_and_last(room, before, count)
        through = min(before - 1, head.sequence) if before else head.sequence
        if through < 1:
            return NotesPage([], has_older=False)
        found, older = await self._last_notes(room, through, count, log)
        notes = newest(found, page_size)
        return NotesPage(notes, has_older=older or len(found) > len(notes))

    async def _last_notes(
        self, room: str, through: int, count: int, log: LogPage
    ) -> tuple[list[LoggedNote], bool]:
        """The notes, and whether the stream may hold older ones; `log` is the first read of it."""
        tail: list[LoggedNote] = []
        if log.last != through:
            # The tail first, then the stream again: see `Replayer._runs`.
            tail = await self._last_of_tail(room, through, count)
            log = await self._log.backward(room, through, count)
        while not (log.notes or tail) and log.full:  # none of them can be decoded
            log = await self._log.backward(room, log.first - 1, count)
        return merge(log.notes, tail)[-count:], log.full

    async def _last_of_tail(self, room: str, through: int, count: int) -> list[LoggedNote]:
        notes: deque[LoggedNote] = deque(maxlen=count)
        position: bytes | None = None
        ended = False
        while not ended:
            tail = await self._tail.read(room, position)
            notes.extend(note for note in tail.notes if note.sequence <= through)
            position = tail.position
            ended = tail.ended or bool(tail.notes and tail.notes[-1].sequence >= through)
        return list(notes)
