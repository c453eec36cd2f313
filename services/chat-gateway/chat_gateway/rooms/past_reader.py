"""Reads, for a room's readers, the notes that its ring no longer holds."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import NamedTuple

import structlog

from chat_gateway.history.history import History, ReplayPart
from chat_gateway.log.ring import Run
from chat_gateway.log.room_log import RoomLog, SequenceRange
from chat_gateway.rooms.gap_reader import frames_of
from chat_gateway.rooms.shared_read import SharedRead
from notecast_runtime.errors import HistoryUnavailableError
from notecast_runtime.fair_turns import FairTurns
from notecast_wire.fairness.clients import ClientId

CheckEpoch = Callable[[int], None]
"""Raises HistoryUnavailableError if notes of this epoch don't belong to the log."""

_log = structlog.get_logger(__name__)


class PageLimits(NamedTuple):
    """Bounds on one page."""

    notes: int
    page_bytes: int
    """One response of history may come on top."""

    run_bytes: int
    """Bound on one run; see `Ring`."""


class PastPage(NamedTuple):
    """Notes that were read from history for readers behind the ring."""

    runs: Sequence[Run]
    """In order; the last one ends at `next_sequence`."""

    first_remaining: int
    """The first sequence after the requested one that can still be read, here or in the ring."""

    next_sequence: int
    """The sequence after the page, and after all that retention has removed at its start."""

    readers: int
    """The number of readers that share it, at least."""

    nothing_missed: bool = False
    """Whether the room is known to have had no note before `first_remaining`, from there on."""


class _Remains(NamedTuple):
    """History's statement about the start of a range; see `ReplayPart`."""

    first: int
    nothing_missed: bool = False


class _Read(NamedTuple):
    """The key by which readers share a read: its start, and how much they want."""

    after: int
    notes: int
    size: int
    """In bytes."""


class PastReader:
    """Reads one room from history; requests for the same at the same time share one read.

    Args:
        room: the room's name.
        log: keeps what was read just before its ring, as far as there is room.
        history: where to read.
        limits: bounds on a page.
        check_epoch: checks the epoch of what was read, before it is used.
        turns: turns at reading from history; all rooms share them.
    """

    __slots__ = ("_check_epoch", "_history", "_limits", "_log", "_reads", "_room", "_turns")

    def __init__(
        self,
        room: str,
        log: RoomLog,
        history: History,
        limits: PageLimits,
        check_epoch: CheckEpoch,
        turns: FairTurns,
    ) -> None:
        self._room = room
        self._log = log
        self._history = history
        self._limits = limits
        self._check_epoch = check_epoch
        self._turns = turns
        self._reads: dict[_Read, SharedRead[PastPage]] = {}

    async def read(
        self,
        after: int,
        client: ClientId,
        most_notes: int | None = None,
        most_bytes: int | None = None,
    ) -> PastPage:
        """Reads a page after a sequence whose successor the ring no longer holds.

        A read that no caller waits for any more is cancelled, at the history service too.

        Args:
            after: that sequence.
            client: the client that asks. Among clients that share a read, the first to get a turn
                reads for all.
            most_notes: the most notes that are wanted; None: as many as a page may have.
            most_bytes: see `PageLimits.page_bytes`; None: as many as a page may have.

        Raises:
            HistoryUnavailableError: no replica answered, or one answered with a later epoch.
            OverloadedError: too many reads of this client wait.
        """
        notes = min(most_notes or self._limits.notes, self._limits.notes)
        sequences = SequenceRange(after, min(self._log.oldest - 1, after + notes))
        if sequences.through <= after:  # the ring has been extended to there in the meantime
            return PastPage((), 0, after + 1, 1)
        size = min(most_bytes or self._limits.page_bytes, self._limits.page_bytes)
        wanted = _Read(after, notes, size)
        read = self._reads.get(wanted)
        if read is None or read.result.done():
            read = SharedRead(self._turns, partial(self._read, wanted, sequences))
            self._reads[wanted] = read
            read.result.add_done_callback(partial(self._forget, wanted))
        return await read.outcome(client)

    def cancel(self) -> None:
        """Cancels all reads, and the callers that wait for them."""
        for read in self._reads.values():
            read.cancel()
        self._reads = {}

    def _forget(self, wanted: _Read, done: asyncio.Future[PastPage]) -> None:
        read = self._reads.get(wanted)
        if read is not None and read.result is done:
            del self._reads[wanted]

    async def _read(self, wanted: _Read, sequences: SequenceRange, client: ClientId) -> PastPage:
        frames: list[tuple[int, bytes]] = []
        remains, size = _Remains(0), 0
        reading = self._history.replay(self._room, sequences, client, wanted.size)
        async with aclosing(_until_it_fails(reading)) as parts:
            async for part in parts:
                part.check_reach(self._log.epoch, sequences.through)
                self._check_epoch(max((note.epoch for note in part.notes), default=0))
                if not remains.first:
                    remains = _Remains(part.first_remaining, part.nothing_missed)
                if frames and part.notes and part.notes[0].sequence != frames[-1][0] + 1:
                    break
                frames += frames_of(part.notes)
                size += sum(len(note.note) for note in part.notes)
                if size > wanted.size and frames[-1][0] < sequences.through:
                    return self._page(wanted, frames, remains, frames[-1][0] + 1)
        if frames and frames[-1][0] < sequences.through:
            # The rest may have been removed in the meantime, or history has failed. The next read
            # finds out.
            return self._page(wanted, frames, remains, frames[-1][0] + 1)
        if not remains.first:
            raise HistoryUnavailableError("the history service does not say what remains")
        if not frames:
            # What the ring holds can be read, whatever retention has removed in the meantime.
            remains = remains._replace(first=min(remains.first, self._log.oldest))
        self._log.extend_back(sequences, frames)
        # However many notes retention has removed, one read leads to the first that remains.
        next_sequence = max(sequences.through + 1, remains.first)
        return self._page(wanted, frames, remains, next_sequence)

    def _page(
        self,
        wanted: _Read,
        frames: Iterable[tuple[int, bytes]],
        remains: "_Remains",
        next_sequence: int,
    ) -> PastPage:
        runs: list[Run] = []
        taken: list[bytes] = []
        size = 0
        for sequence, frame in frames:
            if taken and size + len(frame) > self._limits.run_bytes:
                runs.append(Run(b"".join(taken), sequence))
                taken, size = [], 0
            taken.append(frame)
            size += len(frame)
        runs.append(Run(b"".join(taken), next_sequence))
        read = self._reads.get(wanted)
        readers = 1 if read is None else read.asked
        return PastPage(runs, remains.first, next_sequence, readers, remains.nothing_missed)


async def _until_it_fails(reading: AsyncGenerator[ReplayPart]) -> AsyncGenerator[ReplayPart]:
    """Yields the parts of a replay; a failure after the first note only ends it.

    What came is right, and the next read continues after it. If reads began again from the start,
    a page for which history takes longer than a read may last would never be read.

    Raises:
        HistoryUnavailableError: see `History.replay`; only before the first note.
    """
    has_notes = False
    async with aclosing(reading) as parts:
        try:
            async for part in parts:
                has_notes = has_notes or bool(part.notes)
                yield part
        except HistoryUnavailableError as error:
            if not has_notes:
                raise
            _log.warning("replay_broken_off", error=str(error))
