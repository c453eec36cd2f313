"""Reads a range of a room's log in order: its stream, and then the outbox's tail."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from history.logged_notes import RESPONSE_NOTES, chunks, fitting, merge
from history.outbox_tail import OutboxTail
from history.room_log import LogPage, RoomHead, RoomLog
from notecast.v1.history_pb2 import LoggedNote, ReplayResponse

_FIRST_NOTES: Final = 16
"""First page, while the notes' size is unknown: Redis bounds an answer by their number only."""
_GROWTH: Final = 4
"""Bound on the growth from one page to the next: large notes may follow small ones."""


class _Run(NamedTuple):
    """A part of a room's log, as it was read."""

    first: int
    """The sequence of its first entry, readable or not."""

    notes: list[LoggedNote]
    """Its readable notes."""


class Replayer:
    """Replays rooms; holds one page of the stream and one of the tail at a time.

    A page is about the size of a response. While a page is decoded, the process does nothing else,
    and most replays are given up before their end.

    Args:
        log: reads the rooms' streams.
        tail: reads what is not in them yet.
        page_notes: the most notes of a stream that are read at once.
    """

    def __init__(self, log: RoomLog, tail: OutboxTail, page_notes: int = RESPONSE_NOTES) -> None:
        self._log = log
        self._tail = tail
        self._page_notes = page_notes

    async def replay(
        self, room: str, after: int, through: int, enough_bytes: int = 0
    ) -> AsyncGenerator[ReplayResponse]:
        """Yields the range (after, through] as responses, at least one.

        It includes all notes that are acknowledged when the replay begins.

        Args:
            room: the room.
            after: the sequence after which to begin.
            through: the last sequence; 0: the current end of the log.
            enough_bytes: also ends once the notes have more bytes than this; 0: no bound.

        Raises:
            RedisUnavailableError: Redis does not answer. The responses that came are right.
        """
        # The head is read before the log: with a later head, a note that came too late to be read
        # would look as if retention had removed it.
        head = await self._log.head(room)
        limit = min(through or head.sequence, head.sequence)
        first: _Run | None = None
        begun = False
        size = 0
        async with aclosing(self._runs(room, after, limit)) as runs:
            async for run in runs:
                first = first or run
                for chunk in chunks(run.notes):
                    if begun:
                        yield ReplayResponse(notes=chunk)
                    else:
                        begun = True
                        yield await self._first_response(room, after, head, first, chunk)
                    size += sum(len(note.note) for note in chunk)
                    if size > enough_bytes > 0:
                        return
        if not begun:
            first = first or await self._first_after(room, after, head.sequence)
            yield await self._first_response(room, after, head, first, ())

    async def _first_after(self, room: str, after: int, head: int) -> _Run | None:
        async with aclosing(self._runs(room, after, head)) as runs:
            async for run in runs:
                return run
        return None

    async def _first_response(
        self,
        room: str,
        after: int,
        head: RoomHead,
        first: _Run | None,
        notes: Sequence[LoggedNote],
    ) -> ReplayResponse:
        """Makes the first response; `first` is the first run that remains; None: there is none."""
        remaining = head.sequence + 1 if first is None else first.first
        return ReplayResponse(
            notes=notes,
            first_remaining=remaining,
            nothing_missed=remaining > after + 1
            and await self._has_missed_nothing(room, after, head, first),
            head_epoch=head.epoch,
            head_sequence=head.sequence,
        )

    async def _has_missed_nothing(
        self, room: str, after: int, head: RoomHead, first: _Run | None
    ) -> bool:
        """Whether the room never had a note between `after` and what remains after it.

        This is known if all missing notes were removed when the room was forgotten. Otherwise its
        first notes, or all of them, were removed after it came back.
        """
        at_floor = head.is_floor if first is None else _begins_at_floor(first)
        return at_floor and after >= await self._log.gone_through(room, head)

    async def _runs(self, room: str, after: int, limit: int) -> AsyncGenerator[_Run]:
        """Yields runs of the range (after, limit], each with at least one entry.

        If the stream ends before the limit, reads the tail, and then the stream again from the same
        position. So a note that is persisted, and trimmed from the outbox, between the two reads is
        found in the second one. In the other order it would be in neither.
        """
        position: bytes | None = None
        ended = False
        count = min(_FIRST_NOTES, self._page_notes)
        while after < limit and not ended:
            page = await self._log.forward(room, after, limit, count)
            notes = page.notes
            if _is_end(page, limit):
                tail = await self._tail.read(room, position)
                page = await self._log.forward(room, after, limit, count)
                notes = page.notes
                if _is_end(page, limit):
                    # Now the stream's part is complete, and the tail continues where it ends.
                    notes = merge(notes, (n for n in tail.notes if after < n.sequence <= limit))
                    position, ended = tail.position, tail.ended
            after = max(after, page.last)  # also past unreadable entries
            count = fitting(page.notes, min(count * _GROWTH, self._page_notes))
            if notes:
                after = max(after, notes[-1].sequence)
            if found := [*filter(None, [page.first]), *(note.sequence for note in notes[:1])]:
                yield _Run(min(found), notes)


def _begins_at_floor(run: _Run) -> bool:
    """Whether its first entry is the first note of a room of which Redis had nothing."""
    return bool(run.notes) and 0 < run.notes[0].floor == run.first - 1


def _is_end(page: LogPage, limit: int) -> bool:
    """Whether the stream holds no more of the range, but does not reach its end."""
    return not page.full and page.last != limit
