"""The readers of a room: together at the live tail, or each by itself if it fell behind."""

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

from chat_gateway.log.positions import Head
from chat_gateway.log.room_log import RoomLog
from chat_gateway.rooms.live_tail import LiveReader, LiveTail
from chat_gateway.transport.outlet import Audience
from notecast_runtime.errors import NotecastError


class TailReader(LiveReader, Protocol):
    """A stream at the live tail of a room."""

    def end(self, error: NotecastError) -> None:
        """Ends the stream."""


Reader = TypeVar("Reader", bound=TailReader)


class FallenBehind(NamedTuple, Generic[Reader]):
    """A stream that is no longer at the live tail."""

    reader: Reader
    next_sequence: int
    """The first sequence that it was not sent."""

    is_blocked: bool
    """Whether its outlet refuses to take more for now."""


class ReaderBehind(Protocol):
    """The position of a reader that is not at the live tail."""

    def deliver(self) -> None:
        """Writes what there is; must not raise."""

    def enter_epoch(self, head: Head, survived: int) -> None:
        """Learns that after a sequence the log is another one, of a later epoch."""

    def end(self, error: NotecastError) -> None:
        """Ends the stream that reads."""


class RoomReaders(Generic[Reader]):
    """The readers of one room.

    Args:
        make_audience: makes an audience for the streams at the live tail.

    Attributes:
        tail: the readers that have been sent everything that was delivered.
        behind: the readers that have not, are ahead of it, or must be told something first.
    """

    __slots__ = ("behind", "tail")

    def __init__(self, make_audience: Callable[[], Audience]) -> None:
        self.tail: LiveTail[Reader] = LiveTail(0, make_audience)
        self.behind: set[ReaderBehind] = set()

    def deliver_live(self, log: RoomLog) -> Iterator[FallenBehind[Reader]]:
        """Sends what is new in the room's log to all readers at the live tail.

        Yields:
            The readers that have fallen behind. Tell each before asking for the next one, so that
            a fault after that finds it among those behind.
        """
        tail = self.tail
        while len(tail) and tail.sequence < log.newest:
            run = log.run_from(tail.sequence + 1)
            if run is None:  # a gap longer than the ring was passed over
                yield from self._dissolve_tail()
                break
            for reader, next_sequence in tail.send(run):
                yield FallenBehind(reader, next_sequence, is_blocked=True)
        tail.sequence = log.newest

    def deliver_behind(self) -> None:
        """Lets the readers that are behind write what there is for them."""
        if self.behind:
            for each in tuple(self.behind):
                each.deliver()

    def cut_back(self, survived: int) -> list[FallenBehind[Reader]]:
        """Moves the live tail back to a sequence after which the log is another one.

        Returns:
            The readers that were shown notes that are gone, and are no longer at the tail. Tell
            each before calling `enter_epoch`.
        """
        fallen: list[FallenBehind[Reader]] = []
        if survived < self.tail.sequence:
            fallen = self._dissolve_tail()
            self.tail.sequence = survived
        return fallen

    def enter_epoch(self, head: Head, survived: int) -> None:
        """Moves the readers that are behind to an epoch, before the room's log enters it.

        Args:
            head: the room's head in the new epoch.
            survived: the last sequence that the two epochs have in common; it may be beyond the
                end of the log.
        """
        for each in tuple(self.behind):
            each.enter_epoch(head, survived)

    def end(self, error: NotecastError) -> None:
        """Ends every stream."""
        for reader in tuple(self.tail.readers()):
            reader.end(error)
        for each in tuple(self.behind):
            each.end(error)

    def _dissolve_tail(self) -> list[FallenBehind[Reader]]:
        next_sequence = self.tail.sequence + 1
        return [
            FallenBehind(reader, next_sequence, is_blocked=False) for reader in self.tail.dissolve()
        ]
