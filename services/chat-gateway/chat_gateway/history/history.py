"""The interface to the history service."""

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
    """The first sequence in or after the range that retention has kept; 0: told before."""

    nothing_missed: bool = False
    """Whether the room is known to have had no note in the range before that sequence."""

    head: tuple[int, int] | None = None
    """The room's epoch and newest sequence in the data that were read; None: told before."""

    def check_reach(self, epoch: int, through: int) -> None:
        """Checks that the part comes from data that are as new as is known.

        Args:
            epoch: the room's epoch, as far as known.
            through: a sequence that the room is known to have.

        Raises:
            HistoryUnavailableError: the data are older. The replica has yet to notice that its
                Redis is no longer the primary.
        """
        if self.head is not None and (self.head[0] < epoch or self.head[1] < through):
            raise HistoryUnavailableError("the history service has older data than are known")


class NotesPage(NamedTuple):
    """A page of a listing, which goes backwards."""

    notes: Sequence[LoggedNote]
    has_older: bool


class History(Protocol):
    """Reads the logs of rooms: persisted notes, and those about to be."""

    def replay(
        self, room: str, sequences: SequenceRange, client: ClientId | None, enough_bytes: int = 0
    ) -> AsyncGenerator[ReplayPart]:
        """Reads a range of a room's sequences in order.

        Args:
            room: the room.
            sequences: the range.
            client: the client to read for; None: all readers of the room.
            enough_bytes: the replay may end after the part that exceeds this many bytes of notes;
                0: it reads the whole range.

        Raises:
            HistoryUnavailableError: no replica answered, or not in time. The parts that came are
                right. If a part does not continue where the one before it ended, notes may have
                been removed in between: read again from there to find out.
        """

    async def list_notes(
        self, room: str, before: int, page_size: int, timeout_seconds: float, client: ClientId
    ) -> NotesPage:
        """Reads the last notes before a sequence.

        Args:
            room: the room.
            before: that sequence; 0: reads the newest notes.
            page_size: the most notes of the page, at least 1.
            timeout_seconds: bound on the wait.
            client: the client to read for.

        Raises:
            HistoryUnavailableError: no replica answered in time.
            OverloadedError: other reads of this client came first.
        """
