"""Where a room stands: as Redis tells of it, and in epochs that have ended. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from chat_gateway.log.epochs import EpochEnd
from chat_gateway.log.outbox_mark import BEFORE_ALL
from notecast_runtime.outbox import OutboxId


class Head(NamedTuple):
    """Where a room's log ends."""

    epoch: int
    sequence: int
    """Of the newest note; where there is none, of what comes before the next: mostly 0."""

    outbox_id: OutboxId = BEFORE_ALL
    """An id that every note accepted from then on comes behind in the outbox."""

    is_floor: bool = False
    """Whether Redis has nothing of the room: up to the sequence, nothing is left to read."""


class PartitionHeads(NamedTuple):
    """Where the rooms of one query (`heads.PartitionHeadsQuery`) stand."""

    epoch: int
    outbox_id: OutboxId
    """As of Head."""

    newest: Sequence[bytes | None]
    """Each room's newest sequence in decimal, as Redis has it. None where it has nothing of the
    room: whatever the room has shown is older than retention, and nothing new is there."""

    floor: int = 0
    """Where those rooms stand."""

    def head(self, index: int) -> Head:
        """The head of the room in this place."""
        newest = self.newest[index]
        if newest is None:
            return Head(self.epoch, self.floor, self.outbox_id, is_floor=self.floor > 0)
        return Head(self.epoch, int(newest), self.outbox_id)


class EpochHistory(NamedTuple):
    """Where a room's log ends, and where it ended in the epochs before."""

    head: Head
    ends: Sequence[EpochEnd]
    """Of the epochs that are remembered, oldest first."""
