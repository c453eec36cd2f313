"""A room in a gateway: the newest part of its log, and its readers."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

import structlog

from chat_gateway.history.history import History
from chat_gateway.log.announcement import Announcement
from chat_gateway.log.epochs import common_sequence
from chat_gateway.log.event_bytes import note_frame
from chat_gateway.log.outbox_mark import BEFORE_ALL, UNMARKED, OutboxMark
from chat_gateway.log.positions import EpochHistory, Head, RoomPosition
from chat_gateway.log.ring_budget import RingBudget
from chat_gateway.log.room_log import RoomLog, SequenceRange
from chat_gateway.rooms.fan_out import FanOut
from chat_gateway.rooms.gap_reader import GapReader
from chat_gateway.rooms.gap_repair import GapRepair
from chat_gateway.rooms.past_reader import PageLimits, PastPage, PastReader
from chat_gateway.rooms.room_readers import FallenBehind, RoomReaders, TailReader
from chat_gateway.store.heads import Heads
from chat_gateway.transport.outlet import Audience
from notecast_runtime.backoff import Backoff
from notecast_runtime.errors import (
    HistoryUnavailableError,
    NotecastError,
    RedisUnavailableError,
)
from notecast_runtime.fair_turns import FairTurns
from notecast_runtime.outbox import OutboxId
from notecast_wire.fairness.clients import ClientId

_EARLY_NOTES = 64
"""Maximum number of live notes that are kept while the log is opened; others are fetched."""

SURE_SECONDS: Final = 5.0
"""How long after a query to Redis a room that agreed with it can't have missed a note that is gone
by now: retention by age takes longer. Redis is queried about once a second."""

_log = structlog.get_logger(__name__)


class RoomLimits(NamedTuple):
    """Bounds on the memory of one room."""

    ring_notes: int
    ring_bytes: int
    run_bytes: int
    """Bound on one write to a stream."""


class RoomReader(TailReader, Protocol):
    """A stream at the live tail, as its room sees it."""

    def fall_behind(self, room: "Room", next_sequence: int, *, is_blocked: bool) -> None:
        """Learns that it is no longer at the live tail, and must read on by itself.

        Args:
            room: the room in which it fell behind.
            next_sequence: the first sequence that it was not sent.
            is_blocked: whether its outlet refuses to take more for now.
        """


class Doubts(Protocol):
    """Finds out whether Redis still holds what a room has shown."""

    def see(self, room: str, epoch: int) -> None:
        """Learns that this epoch has begun in the room."""

    def suspect(self, room: str, epoch: int, entry: OutboxId) -> None:
        """Learns that Redis may have lost an outbox entry that was seen there."""

    async def check(self) -> None:
        """Begins a later epoch if Redis's data are older than what was seen; then pauses.

        Raises:
            RedisUnavailableError: Redis can't tell now.
        """


class Shared(NamedTuple):
    """The parts that all rooms of a gateway share."""

    history: History
    """Reads notes that are older than the ring."""

    gaps: GapReader
    """Reads notes that were missed live."""

    heads: Heads
    """Reads how epochs ended."""

    doubts: Doubts
    """Told when a live note contradicts an earlier one."""

    fan_out: FanOut
    """Schedules the delivery of new notes."""

    limits: RoomLimits
    rings: RingBudget
    """Bound on the memory of all rooms' rings."""

    make_audience: Callable[[], Audience]
    """Makes an audience for the streams at a live tail."""

    reads: FairTurns
    """Turns at reading from history."""

    clock: Callable[[], float] = time.monotonic


class Room:
    """Keeps a room's log in order, in whatever order live notes come, and delivers it.

    Args:
        name: the room's name.
        shared: the parts that it shares with other rooms.

    Attributes:
        readers: the streams that read it.
    """

    __slots__ = (
        "_agreed_at",
        "_agreed_id",
        "_early",
        "_entering",
        "_floor",
        "_live_id",
        "_log",
        "_mark",
        "_past",
        "_repair",
        "_shared",
        "name",
        "readers",
    )

    def __init__(self, name: str, shared: Shared) -> None:
        self.name = name
        self._shared = shared
        self._log: RoomLog | None = None
        self._floor = 0  # no note has this sequence or a lower one, or none is left
        self.readers: RoomReaders[RoomReader] = RoomReaders(shared.make_audience)
        self._live_id = self._agreed_id = BEFORE_ALL
        self._agreed_at = shared.clock()
        self._mark = UNMARKED
        self._early: deque[Announcement] | None = None
        self._past: PastReader | None = None
        self._repair: GapRepair | None = None
        self._entering: asyncio.Task[None] | None = None

    @property
    def log(self) -> RoomLog:
        """The log. The room must be open."""
        assert self._log is not None, "the room is not open yet"  # noqa: S101 - ours to keep
        return self._log

    @property
    def is_open(self) -> bool:
        """Whether the room has a log."""
        return self._log is not None

    @property
    def has_notes(self) -> bool:
        """Whether there were notes when it was opened, or came since. The room must be open."""
        return self.log.newest > self._floor

    @property
    def outbox_id(self) -> OutboxId:
        """The outbox id after which all notes come that the log still lacks."""
        return max(self._live_id, self._agreed_id, self._mark.outbox_id)

    @property
    def _last_id(self) -> OutboxId:
        """The id of the newest live note; if there was none, the one that was agreed on."""
        return self._live_id if self._live_id > BEFORE_ALL else self._agreed_id

    @property
    def live_position(self) -> RoomPosition:
        """The position of the readers at the live tail."""
        return RoomPosition(self.name, self.log.epoch, self.readers.tail.sequence)

    @property
    def live_readers(self) -> int:
        """The number of streams at the live tail."""
        return len(self.readers.tail)

    @property
    def live_connections(self) -> int:
        """The number of their connections, each counted once for each encoding."""
        return self.readers.tail.connections

    def open(self, head: Head) -> None:
        """Begins the log at a head that was read after the subscription was confirmed."""
        limits = self._shared.limits
        self._log = RoomLog(
            head.epoch,
            head.sequence,
            max_notes=limits.ring_notes,
            max_bytes=limits.ring_bytes,
            run_bytes=limits.run_bytes,
            budget=self._shared.rings,
        )
        self.readers.tail.sequence = head.sequence
        self._floor = head.sequence if head.is_floor else 0
        self._agreed_id = head.outbox_id
        self._take_early()

    def on_announcement(self, announcement: Announcement) -> None:
        """Adds a live note, in whatever order it comes."""
        log = self._log
        if log is None:
            self._keep_early(announcement)
        elif announcement.epoch == log.epoch:
            epoch, sequence, outbox_id, note = announcement
            if sequence == log.newest + 1:
                self._live_id = outbox_id
            elif sequence > log.newest or outbox_id > self._last_id:
                # It came before lost ones, or late, after repair had fetched it. Or its sequence
                # was given twice, and Redis has lost this note or the earlier one.
                self._shared.doubts.suspect(self.name, epoch, outbox_id)
                self._shared.doubts.suspect(self.name, epoch, self._last_id)
            log.append_live(sequence, note_frame(epoch, sequence, note))
            self._look_after()
        elif announcement.epoch > log.epoch:
            self._keep_early(announcement)
            self._enter_later_epoch(announcement.epoch)

    def has_all(self, epoch: int, sequence: int) -> bool:
        """Whether the log is complete, at least up to this sequence of this epoch."""
        return self._log is not None and self._log.has_all(epoch, sequence)

    @property
    def _is_sure(self) -> bool:
        """Whether the log can't have missed a note that has left Redis by now."""
        agreed_at = max(self._agreed_at, self._mark.agreed_at)
        return self._shared.clock() - agreed_at <= SURE_SECONDS

    def agrees(self, head: Head, asked_at: float) -> bool:
        """Whether the log has all that a head says; if so, takes over the head's outbox id.

        Args:
            head: the room's head as Redis has it.
            asked_at: the monotonic time at which Redis was asked.
        """
        if not self.has_all(head.epoch, head.sequence):
            return False
        self._agreed_at = asked_at
        if head.outbox_id > self._agreed_id and head.sequence == self.log.newest:
            self._agreed_id = head.outbox_id
        return True

    def follow(self, mark: OutboxMark) -> None:
        """Follows a mark: `outbox_id` is the mark's from now on, where that is later.

        Only for a room that agrees with all that the mark stands for. A room that enters another
        epoch stops following it.
        """
        self._leave_mark(self.outbox_id, mark)  # the earlier mark still holds

    def _leave_mark(self, agreed_id: OutboxId, mark: OutboxMark) -> None:
        self._agreed_at = max(self._agreed_at, self._mark.agreed_at)
        self._agreed_id, self._mark = agreed_id, mark

    def on_head(self, head: Head) -> None:
        """Learns the room's head from Redis: this shows notes that were missed."""
        if head.epoch == self.log.epoch:
            if head.is_floor:
                self.pass_over(head.sequence)
            if head.sequence == self.log.newest:
                self._agreed_id = max(self._agreed_id, head.outbox_id)
            self.log.on_head(head.sequence)
            self._look_after()
        elif head.epoch > self.log.epoch:
            self._enter_later_epoch(head.epoch)

    def pass_over(self, floor: int) -> None:
        """Continues after a sequence up to which nothing is left.

        Readers that have been sent everything stay at the live tail. But if notes may have come and
        gone unseen, because Redis was away or this gateway was cut off, readers ask history, like
        those that resume.
        """
        if floor <= self.log.newest:
            return
        self.deliver()
        # A reader with a lower position must ask history: notes may have been missed.
        self.log.fill(SequenceRange(floor, floor), ())
        if self._is_sure:
            self.readers.tail.sequence = floor
        self._floor = floor

    async def reach(self, epoch: int) -> None:
        """Waits until the log is in this epoch, or a later one."""
        while self.log.epoch < epoch:
            await asyncio.shield(self._enter_later_epoch(epoch))

    def deliver(self) -> None:
        """Sends its readers what is new."""
        self._tell(self.readers.deliver_live(self.log))
        self.readers.deliver_behind()

    def change_readers_epoch(self, head: Head, survived: int) -> None:
        """Moves all readers to an epoch, before the log enters it; see `RoomReaders`."""
        self._tell(self.readers.cut_back(survived))
        self.readers.enter_epoch(head, survived)

    def deliver_soon(self) -> None:
        """Schedules `deliver`."""
        self._shared.fan_out.mark(self)

    def refuse_later_epoch(self, epoch: int) -> None:
        """Refuses notes of an epoch that is later than the log's, and enters that epoch.

        Raises:
            HistoryUnavailableError: the epoch is later than the log's; read again.
        """
        if epoch > self.log.epoch:
            self._enter_later_epoch(epoch)
            raise HistoryUnavailableError("another epoch has begun")

    async def read_past(
        self,
        after: int,
        client: ClientId,
        most_notes: int | None = None,
        most_bytes: int | None = None,
    ) -> PastPage:
        """Reads a page of older notes; see `PastReader.read`."""
        if self._past is None:
            history, limits = self._shared.history, self._shared.limits
            page = PageLimits(limits.ring_notes, limits.ring_bytes, limits.run_bytes)
            self._past = PastReader(
                self.name, self.log, history, page, self.refuse_later_epoch, self._shared.reads
            )
        return await self._past.read(after, client, most_notes, most_bytes)

    def end(self, error: NotecastError) -> None:
        """Ends every stream that reads this room."""
        self.readers.end(error)

    def close(self) -> None:
        """Cancels all work under way, and frees the log."""
        self._cancel_reads()
        if self._log is not None:
            self._log.close()
        if self._entering is not None:
            self._entering.cancel()

    def _cancel_reads(self) -> None:
        if self._past is not None:
            self._past.cancel()
        if self._repair is not None:
            self._repair.cancel()
        self._past = self._repair = None

    def _keep_early(self, announcement: Announcement) -> None:
        if self._early is None:
            self._early = deque(maxlen=_EARLY_NOTES)
        self._early.append(announcement)

    def _take_early(self) -> None:
        early, self._early = self._early, None
        for announcement in early or ():
            self.on_announcement(announcement)

    def _enter_later_epoch(self, epoch: int) -> asyncio.Task[None]:
        """Finds out what the later epoch has kept of this one, and continues in it."""
        self._shared.doubts.see(self.name, epoch)
        if self._entering is None or self._entering.done():
            self._entering = asyncio.create_task(self._enter())
        return self._entering

    async def _enter(self) -> None:
        log = self.log
        head, ends = await self._later_history(log.epoch)
        common = common_sequence(log.epoch, ends) or 0
        survived = min(log.newest, common)
        _log.warning("epoch_entered", old=log.epoch, new=head.epoch, lost=log.newest - survived)
        self._cancel_reads()
        # If this room has lost nothing, its own entry is still there. But the entry that was agreed
        # on may belong to another room of the partition, and be lost.
        self._leave_mark(BEFORE_ALL, UNMARKED)
        if survived < log.newest:
            self._live_id = BEFORE_ALL
        # A reader from another gateway may have been shown more than this one has received.
        self.change_readers_epoch(head, common)
        log.enter_epoch(head.epoch, survived)
        self.on_head(head)
        self._take_early()

    async def _later_history(self, epoch: int) -> EpochHistory:
        """Waits until Redis has a later epoch; begins another one if Redis has lost that."""
        backoff = Backoff()
        while True:
            try:
                history = await self._shared.heads.epoch_history(self.name)
                if history.head.epoch > epoch:
                    return history
                await self._shared.doubts.check()
            except RedisUnavailableError as error:
                _log.warning("epoch_waits", error=str(error))
            await asyncio.sleep(backoff.next_delay())

    def _tell(self, fallen: Iterable[FallenBehind[RoomReader]]) -> None:
        for reader, next_sequence, is_blocked in fallen:
            reader.fall_behind(self, next_sequence, is_blocked=is_blocked)

    def _look_after(self) -> None:
        """Schedules the delivery, and begins to fetch what is missing."""
        self.deliver_soon()
        if self.log.missing():
            if self._repair is None:
                self._repair = GapRepair(self, self._shared.gaps)
            self._repair.begin()
