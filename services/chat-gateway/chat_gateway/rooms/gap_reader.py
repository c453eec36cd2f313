"""Reads the notes that a gateway missed live: from the outbox, or else from history."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import NamedTuple

from chat_gateway.history.history import History
from chat_gateway.log.event_bytes import note_frame
from chat_gateway.log.room_log import SequenceRange
from chat_gateway.store.outbox_range import OutboxRange
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.outbox import OutboxEntry, OutboxId

Frames = Sequence[tuple[int, bytes]]
"""Sequence and frame, in order of sequence."""


class GapPart(NamedTuple):
    """A part of a gap that was read completely."""

    after: int
    """The part begins after this. What comes before and is in no part may have been removed."""

    through: int
    frames: Frames
    epoch: int
    """The latest epoch of its notes; 0 if there are none."""

    floor: int = 0
    """See `outbox_range.Found`."""


class GapReader:
    """Reads the missing notes of a room.

    The outbox comes first, so that live chat recovers while every history replica is down. What
    has been trimmed there is persisted, and history has it.
    """

    def __init__(self, outbox: OutboxRange, history: History) -> None:
        self._outbox = outbox
        self._history = history

    async def read(
        self, room: str, gap: SequenceRange, outbox_id: OutboxId, epoch: int
    ) -> AsyncGenerator[GapPart]:
        """Reads a gap part by part.

        Args:
            room: the room.
            gap: the missing range.
            outbox_id: an outbox id before all of its notes.
            epoch: the room's epoch.

        Raises:
            RedisUnavailableError, HistoryUnavailableError: try again with what remains.
        """
        found = await self._outbox.read(room, gap, outbox_id)
        if found is not None:
            frames = frames_of(found.entries)
            yield GapPart(gap.after, gap.through, frames, found.epoch, found.floor)
            return
        through = gap.after
        async with aclosing(self._history.replay(room, gap, None)) as parts:
            async for part in parts:
                part.check_reach(epoch, gap.through)
                if part.notes:
                    first = part.notes[0].sequence
                    # A note that is there but can't be read is passed over.
                    whole = part.nothing_missed or through + 1 in (part.first_remaining, first)
                    after = through if whole else first - 1
                    through = part.notes[-1].sequence
                    newest = max(note.epoch for note in part.notes)
                    yield GapPart(after, through, frames_of(part.notes), newest)
        if through < gap.through:
            yield GapPart(gap.through, gap.through, (), 0)


def frames_of(notes: Iterable[LoggedNote | OutboxEntry]) -> list[tuple[int, bytes]]:
    """Makes frames of notes that were read from either source, each with its sequence."""
    return [(n.sequence, note_frame(n.epoch, n.sequence, n.note)) for n in notes]
