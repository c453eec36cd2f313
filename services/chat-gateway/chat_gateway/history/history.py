"""What a gateway asks of the history service."""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

from chat_gateway.log.room_log import SequenceRange
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.errors import HistoryUnavailableError
from notecast_wire.fairness.clients import ClientId


class ReplayPart(NamedTuple):
    """A part of a replayed range."""

    notes: Sequence[LoggedNote]
    """In order of sequence; may be empty."""

    first_remaining: int
    """The first sequence in or after the range that retention has left; 0: said before."""

    nothing_missed: bool = False
    """Whether the room is known to have had no note before that in the range."""

    head: tuple[int, int] | None = None
    """The epoch and the newest sequence of the room where this comes from; None: said before."""

    def check_reach(self, epoch: int, through: int) -> None:
        """Sees that it comes from data that go as far as is known.

        Args:
            epoch: the room's, as is known.
            through: a sequence that it has.

        Raises:
            HistoryUnavailableError: it does not: the replica has yet to notice that its Redis
                was left.
        """
        if self.head is not None and (self.head[0] < epoch or self.head[1] < through):
            raise HistoryUnavailableError("the history service has older data than are known")


class NotesPage(NamedTuple):
    """A page counted backwards."""

    notes: Sequence[LoggedNote]
    has_older: bool


class History(Protocol):
    """The logs of rooms, as persisted and about to be."""

    def replay(
        self, room: str, sequences: SequenceRange, client: ClientId | None, enough_bytes: int = 0
    ) -> AsyncGenerator[ReplayPart]:
        """Reads a range of a room's sequences in order.

        Args:
            room: the room.
            sequences: which of them.
            client: for whom; None for all who read the room.
            enough_bytes: of notes: what comes after the part that brings more may be left out;
                0: nothing may.

        Raises:
            HistoryUnavailableError: no replica answered, or not in time; what came
                before is right. Where a part does not go on where the one before it ended,
                something may have been removed in between: to read from there tells.
        """

    async def list_notes(
        self, room: str, before: int, page_size: int, timeout_seconds: float, client: ClientId
    ) -> NotesPage:
        """Reads the last notes before a sequence.

        Args:
            room: the room.
            before: that sequence; 0 for the newest notes.
            page_size: how many at most, at least 1.
            timeout_seconds: bound on the wait.
            client: for whom.

        Raises:
            HistoryUnavailableError: no replica answered in time.
            OverloadedError: other reads of this client came first.
        """
