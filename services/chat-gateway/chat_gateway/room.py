"""A room in a gateway: its log's newest part, and the cursors that read it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from typing import NamedTuple, Protocol

import structlog

from chat_gateway.announcement import Announcement
from chat_gateway.epochs import surviving_sequence
from chat_gateway.fan_out import FanOut
from chat_gateway.frames import note_frame
from chat_gateway.gap_reader import GapReader, frames_of
from chat_gateway.heads import Head, Heads
from chat_gateway.history import History
from chat_gateway.ring import Run
from chat_gateway.ring_budget import RingBudget
from chat_gateway.room_log import RoomLog, Stretch
from notecast_runtime.backoff import Backoff
from notecast_runtime.errors import (
    HistoryUnavailableError,
    NotecastError,
    RedisUnavailableError,
    UnavailableError,
)
from notecast_runtime.outbox import OutboxId
from notecast_runtime.tasks import going_on

_EARLY_NOTES = 64
"""How many are kept that are heard while the log is opened; what is not is fetched."""

_log = structlog.get_logger(__name__)


class RoomLimits(NamedTuple):
    """What one room may hold in memory."""

    ring_notes: int
    ring_bytes: int
    run_bytes: int
    """The most that is written to a stream at once."""


class PastPage(NamedTuple):
    """Notes read from history for those who are behind the ring."""

    runs: Sequence[Run]
    """In order; the last one leads to `next_sequence`."""

    first_remaining: int
    """The first sequence behind the one asked for that retention has left."""

    next_sequence: int
    """The sequence that comes behind the page."""


class RoomReader(Protocol):
    """Somebody's place in the room."""

    def deliver(self) -> None:
        """Takes what is new."""

    def enter_epoch(self, head: Head, survived: int) -> None:
        """Learns that behind a sequence the log is another one, of a later epoch."""

    def end(self, error: NotecastError) -> None:
        """Ends the stream that reads."""


class Room:
    """Keeps the log in order, whatever is heard, and tells its readers.

    Args:
        name: the room's name.
        history: where notes come from that are older than the ring.
        gaps: where notes come from that were not heard.
        heads: says how epochs ended.
        fan_out: told when there is something to deliver.
        limits: bounds on the room's memory.
        rings: bound on that of all rooms' rings.
    """

    def __init__(
        self,
        name: str,
        history: History,
        gaps: GapReader,
        heads: Heads,
        fan_out: FanOut,
        limits: RoomLimits,
        rings: RingBudget,
    ) -> None:
        self.name = name
        self.readers: set[RoomReader] = set()
        self._history = history
        self._gaps = gaps
        self._heads = heads
        self._fan_out = fan_out
        self._limits = limits
        self._rings = rings
        self._log: RoomLog | None = None
        self._behind = OutboxId(0, 0)  # all that the log has yet to get is behind this id
        self._early: deque[Announcement] = deque(maxlen=_EARLY_NOTES)
        self._repair: asyncio.Task[None] | None = None
        self._entering: asyncio.Task[None] | None = None
        self._past: dict[int, asyncio.Task[PastPage]] = {}

    @property
    def log(self) -> RoomLog:
        """The log; the room must be open."""
        assert self._log is not None, "the room is not open yet"  # noqa: S101 - ours to keep
        return self._log

    def open(self, head: Head) -> None:
        """Begins the log at a head that was read after the channel was confirmed."""
        self._log = RoomLog(
            head.epoch,
            head.sequence,
            max_notes=self._limits.ring_notes,
            max_bytes=self._limits.ring_bytes,
            run_bytes=self._limits.run_bytes,
            budget=self._rings,
        )
        self._behind = head.outbox_id
        self._hear_early()

    def hear(self, announcement: Announcement) -> None:
        """Takes a live note, in whatever order it comes."""
        log = self._log
        if log is None:
            self._early.append(announcement)
        elif announcement.epoch == log.epoch:
            epoch, sequence, outbox_id, note = announcement
            if sequence == log.newest + 1:
                self._behind = outbox_id
            log.hear(sequence, note_frame(epoch, sequence, note))
            self._look_after()
        elif announcement.epoch > log.epoch:
            self._early.append(announcement)
            self._enter_later_epoch()

    def hear_head(self, head: Head) -> None:
        """Learns from Redis where the log stands: a note that was not heard shows itself."""
        if head.epoch == self.log.epoch:
            if head.sequence == self.log.newest:
                self._behind = max(self._behind, head.outbox_id)
            self.log.hear_head(head.sequence)
            self._look_after()
        elif head.epoch > self.log.epoch:
            self._enter_later_epoch()

    async def reach(self, epoch: int) -> None:
        """Returns when the log is in this epoch, or a later one."""
        while self.log.epoch < epoch:
            await asyncio.shield(self._enter_later_epoch())

    def deliver(self) -> None:
        """Has every reader take what is new."""
        for reader in tuple(self.readers):
            try:
                reader.deliver()
            except Exception:  # a fault of ours in one stream is no reason to silence the others
                _log.exception("delivery_failed", room=self.name)

    async def read_past(self, after: int) -> PastPage:
        """Reads behind a sequence that the ring no longer holds the successor of.

        Who asks for the same at the same time shares one read. A page that ends where
        the ring begins is kept in the ring as far as there is room, for those who come.

        Raises:
            HistoryUnavailableError: no replica answered.
        """
        stretch = Stretch(after, min(self.log.oldest - 1, after + self._limits.ring_notes))
        if stretch.through <= after:  # the ring has been extended to there in the meantime
            return PastPage((), 0, after + 1)
        task = self._past.get(after)
        if task is None:
            task = self._past[after] = asyncio.create_task(self._read_past(stretch))
            task.add_done_callback(lambda done: self._forget_read(after, done))
        return await asyncio.shield(task)

    def _forget_read(self, after: int, done: asyncio.Task[PastPage]) -> None:
        if self._past.get(after) is done:
            del self._past[after]

    def close(self) -> None:
        """Ends what the room has under way, and lets go of its log."""
        self._cancel_reads()
        if self._log is not None:
            self._log.close()
        if self._entering is not None:
            self._entering.cancel()

    def _cancel_reads(self) -> None:
        for task in (*self._past.values(), self._repair):
            if task is not None:
                task.cancel()
        self._past = {}
        self._repair = None

    def _enter_later_epoch(self) -> asyncio.Task[None]:
        """Finds out what the later epoch has left of this one, and goes on in it."""
        if self._entering is None or self._entering.done():
            self._entering = asyncio.create_task(self._enter())
        return self._entering

    async def _enter(self) -> None:
        backoff = Backoff()
        while going_on():
            try:
                head, ends = await self._heads.past(self.name)
                break
            except RedisUnavailableError as error:
                _log.warning("epoch_waits", error=str(error))
                await asyncio.sleep(backoff.next_delay())
        log = self.log
        survived = surviving_sequence(log.epoch, log.newest, head.epoch, ends) or 0
        _log.warning("epoch_entered", old=log.epoch, new=head.epoch, lost=log.newest - survived)
        self._cancel_reads()
        if survived < log.newest:
            self._behind = OutboxId(0, 0)
        log.enter_epoch(head.epoch, survived)
        for reader in tuple(self.readers):
            reader.enter_epoch(head, survived)
        self.hear_head(head)
        self._hear_early()

    def _hear_early(self) -> None:
        early = tuple(self._early)
        self._early.clear()
        for announcement in early:
            self.hear(announcement)

    def _look_after(self) -> None:
        """Delivers what can be, and fetches what is missing."""
        self._fan_out.mark(self)
        if self.log.missing() and (self._repair is None or self._repair.done()):
            self._repair = asyncio.create_task(self._fill_gaps())

    async def _fill_gaps(self) -> None:
        """Fetches what is missing until nothing is; one request at a time, whoever waits."""
        backoff = Backoff()
        while going_on() and (gap := self.log.missing()):
            try:
                await self._fill(gap)
            except UnavailableError as error:
                _log.warning("repair_waits", error=str(error))
                await asyncio.sleep(backoff.next_delay())

    async def _fill(self, gap: Stretch) -> None:
        log = self.log
        after = gap.after
        async for part in self._gaps.read(self.name, gap, self._behind):
            self._refuse_later_epoch(part.epoch)
            log.fill(Stretch(after, part.through), part.frames)
            after = part.through
            self._fan_out.mark(self)

    async def _read_past(self, stretch: Stretch) -> PastPage:
        log = self.log
        frames: list[tuple[int, bytes]] = []
        first_remaining = size = 0
        async with aclosing(self._history.replay(self.name, stretch)) as parts:
            async for part in parts:
                self._refuse_later_epoch(max((note.epoch for note in part.notes), default=0))
                first_remaining = first_remaining or part.first_remaining
                frames += frames_of(part.notes)
                size += sum(len(note.note) for note in part.notes)
                if size > self._limits.ring_bytes and frames[-1][0] < stretch.through:
                    return self._page(frames, first_remaining, frames[-1][0] + 1)
        log.extend_back(stretch, frames)
        return self._page(frames, first_remaining, stretch.through + 1)

    def _refuse_later_epoch(self, epoch: int) -> None:
        """Has the log enter the epoch of what was read, before any of that counts.

        Raises:
            HistoryUnavailableError: the epoch is later than the log's; read again then.
        """
        if epoch > self.log.epoch:
            self._enter_later_epoch()
            raise HistoryUnavailableError("another epoch has begun")

    def _page(
        self, frames: Iterable[tuple[int, bytes]], first_remaining: int, next_sequence: int
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
        return PastPage(runs, first_remaining, next_sequence)


RoomFactory = Callable[[str], Room]
