"""Heads of rooms, now and at the ends of earlier epochs, and positions of streams. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from chat_gateway.log.epochs import EpochEnd
from chat_gateway.log.outbox_mark import BEFORE_ALL
from notecast_runtime.outbox import OutboxId


class Head(NamedTuple):
    """The end of a room's log."""

    epoch: int
    sequence: int
    """The sequence of the newest note. Without a note, the one before the next: mostly 0."""

    outbox_id: OutboxId = BEFORE_ALL
    """An outbox id: every note that is accepted from then on comes after it."""

    is_floor: bool = False
    """Whether Redis has nothing of the room, so that nothing is left to read up to `sequence`."""


class PartitionHeads(NamedTuple):
    """The heads of the rooms of one query (`heads.PartitionHeadsQuery`)."""

    epoch: int
    outbox_id: OutboxId
    """See `Head.outbox_id`; the same for all rooms of the query."""

    newest: Sequence[bytes | None]
    """Each room's newest sequence in decimal, as Redis has it. None if Redis has nothing of the
    room: all that it has shown is older than the retention, and nothing new is there."""

    floor: int = 0
    """The sequence of the rooms of which Redis has nothing."""

    def head(self, index: int) -> Head:
        """The head of the room at this index of the query."""
        newest = self.newest[index]
        if newest is None:
            return Head(self.epoch, self.floor, self.outbox_id, is_floor=self.floor > 0)
        return Head(self.epoch, int(newest), self.outbox_id)


class EpochHistory(NamedTuple):
    """The end of a room's log, now and in earlier epochs."""

    head: Head
    ends: Sequence[EpochEnd]
    """The ends of remembered epochs, oldest first."""


class RoomPosition(NamedTuple):
    """The position of a stream in one room."""

    room: str
    epoch: int
    sequence: int
    """The sequence of the last note that was written to the stream."""
