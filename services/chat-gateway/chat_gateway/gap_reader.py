"""Where a gateway finds the notes that it has not heard: the outbox, or else history."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

from chat_gateway.frames import note_frame
from chat_gateway.history import History
from chat_gateway.outbox_range import OutboxRange
from chat_gateway.room_log import Stretch
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.outbox import OutboxEntry, OutboxId

Frames = Sequence[tuple[int, bytes]]
"""Sequence and frame, in order of sequence."""


class GapPart(NamedTuple):
    """A part of a gap that was read whole."""

    through: int
    frames: Frames
    epoch: int
    """The latest of its notes; 0 where there are none."""

    floor: int = 0
    """As of outbox_range.Found."""


class GapReader:
    """Reads what is missing in a room.

    The outbox comes first, so that live chat heals while every history replica is down;
    what has been trimmed there is persisted, and history has it.
    """

    def __init__(self, outbox: OutboxRange, history: History) -> None:
        self._outbox = outbox
        self._history = history

    async def read(self, room: str, gap: Stretch, behind: OutboxId) -> AsyncIterator[GapPart]:
        """The gap, part by part; a sequence that is in no part is gone from the log.

        Args:
            room: where something is missing.
            gap: what is missing.
            behind: an outbox id before all of it.

        Raises:
            RedisUnavailableError, HistoryUnavailableError: try again with what remains.
        """
        found = await self._outbox.read(room, gap, behind)
        if found is not None:
            yield GapPart(gap.through, frames_of(found.entries), found.epoch, found.floor)
            return
        through = gap.after
        async for part in self._history.replay(room, gap, None):
            if part.notes:
                through = part.notes[-1].sequence
                yield GapPart(
                    through, frames_of(part.notes), max(note.epoch for note in part.notes)
                )
        if through < gap.through:
            yield GapPart(gap.through, (), 0)


def frames_of(notes: Iterable[LoggedNote | OutboxEntry]) -> list[tuple[int, bytes]]:
    """The frames of notes that were read, wherever they were, each with its sequence."""
    return [(n.sequence, note_frame(n.epoch, n.sequence, n.note)) for n in notes]
