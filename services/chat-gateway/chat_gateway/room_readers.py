"""Who reads a room: together at the live tail, or each for itself behind it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from chat_gateway.heads import Head
from chat_gateway.live_tail import LiveReader, LiveTail
from chat_gateway.outlet import Audience
from notecast_runtime.errors import NotecastError

if TYPE_CHECKING:
    from chat_gateway.room import Room


class RoomReader(LiveReader, Protocol):
    """A stream, as a room sees it that has it at its live tail."""

    def fall_behind(self, room: "Room", next_sequence: int, *, is_blocked: bool) -> None:
        """Learns that it is no longer at the live tail, and has to see to itself.

        Args:
            room: where.
            next_sequence: the first that it was not sent.
            is_blocked: whether its outlet has refused to take more for now.
        """

    def end(self, error: NotecastError) -> None:
        """Ends the stream."""


class ReaderBehind(Protocol):
    """Somebody's place in the room that is not the live tail."""

    def deliver(self) -> None:
        """Takes what there is; must not raise."""

    def enter_epoch(self, head: Head, survived: int) -> None:
        """Learns that behind a sequence the log is another one, of a later epoch."""

    def end(self, error: NotecastError) -> None:
        """Ends the stream that reads."""


class RoomReaders:
    """The readers of one room.

    Args:
        make_audience: makes an audience of those at the live tail.

    Attributes:
        tail: those who have been sent all that is delivered.
        behind: those who have not, or stand ahead of it, or have to be told something first.
    """

    __slots__ = ("behind", "tail")

    def __init__(self, make_audience: Callable[[], Audience]) -> None:
        self.tail: LiveTail[RoomReader] = LiveTail(0, make_audience)
        self.behind: set[ReaderBehind] = set()

    def deliver(self, room: "Room") -> None:
        """Sends what is new to all at the live tail; those behind see to themselves."""
        log, tail = room.log, self.tail
        while len(tail) and tail.sequence < log.newest:
            run = log.run_from(tail.sequence + 1)
            if run is None:  # a gap longer than the ring was passed over
                self._dissolve_tail(room)
                break
            for reader, next_sequence in tail.send(run):
                reader.fall_behind(room, next_sequence, is_blocked=True)
        tail.sequence = log.newest
        if self.behind:
            for each in tuple(self.behind):
                each.deliver()

    def enter_epoch(self, room: "Room", head: Head, survived: int) -> None:
        """Has all enter an epoch; the room's log has yet to.

        Args:
            room: whose readers they are.
            head: where the log stands in the new epoch.
            survived: the last sequence that the two epochs have in common; it may be beyond what
                the log has.
        """
        if survived < self.tail.sequence:  # all at the tail were shown what is gone
            self._dissolve_tail(room)
            self.tail.sequence = survived
        for each in tuple(self.behind):
            each.enter_epoch(head, survived)

    def end(self, error: NotecastError) -> None:
        """Ends every stream."""
        for reader in tuple(self.tail.readers()):
            reader.end(error)
        for each in tuple(self.behind):
            each.end(error)

    def _dissolve_tail(self, room: "Room") -> None:
        next_sequence = self.tail.sequence + 1
        for reader in self.tail.dissolve():
            reader.fall_behind(room, next_sequence, is_blocked=False)
