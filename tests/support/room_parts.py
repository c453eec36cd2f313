"""A room and its streams without a server: what is written is looked at."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence

import grpc

from chat_gateway.history.history import History, NotesPage, ReplayPart
from chat_gateway.log.cursors import Start
from chat_gateway.log.positions import EpochHistory, Head
from chat_gateway.log.ring import Encoding, as_frames
from chat_gateway.log.ring_budget import RingBudget
from chat_gateway.log.room_log import SequenceRange
from chat_gateway.rooms.fan_out import FanOut
from chat_gateway.rooms.gap_reader import GapReader
from chat_gateway.rooms.hub import Hub
from chat_gateway.rooms.room import Doubts, Room, RoomLimits, Shared
from chat_gateway.rooms.room_places import RoomPlaces
from chat_gateway.store.heads import Heads
from chat_gateway.store.live_feed import LiveFeed
from chat_gateway.store.outbox_range import Found, OutboxRange
from chat_gateway.store.shared_heads import SharedHeads
from chat_gateway.streams.joining import Joined
from chat_gateway.streams.streams import Streams
from chat_gateway.streams.subscription import Subscription
from chat_gateway.transport.outlet import TrailingMetadata
from chat_gateway.transport.outlet_grpcio import GrpcioAudience
from notecast.v1.chat_pb2 import SubscribeResponse
from notecast.v1.event_pb2 import Event
from notecast.v1.history_pb2 import LoggedNote
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.fair_turns import FairTurns
from notecast_runtime.outbox import OutboxId
from notecast_runtime.status import Ending
from notecast_wire.calls.peers import Origin
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.held_bytes import Holder
from notecast_wire.fairness.shares import UNDIVIDED, ShareRefusal, Shares

EPOCH = 1_700_000_000_000

LIMITS = RoomLimits(ring_notes=100, ring_bytes=10_000, run_bytes=10_000)


class ScriptedHistory(History):
    """A log in memory; remembers what it was asked for."""

    def __init__(self) -> None:
        self.head = 0
        self.notes: list[LoggedNote] = []
        self.asked: list[SequenceRange] = []
        self.enough_bytes: list[int] = []
        self.gone_through: int | None = None
        """The last sequence that the room had when it was forgotten; None: nobody knows."""
        self.part_notes = 1_000_000
        self.between_parts: Callable[[], None] = lambda: None
        self.epoch = 0
        """Of its data, which it says with the head; 0: it says neither."""

    def write(self, epoch: int, sequences: Sequence[int]) -> None:
        """Adds notes without a text."""
        self.head = max(self.head, *sequences, 0)
        self.notes += [LoggedNote(epoch=epoch, sequence=s, note=b"") for s in sequences]

    async def replay(
        self,
        room: str,  # noqa: ARG002
        sequences: SequenceRange,
        client: ClientId | None,  # noqa: ARG002
        enough_bytes: int = 0,
    ) -> AsyncGenerator[ReplayPart]:
        """Implements `History.replay`."""
        self.asked.append(sequences)
        self.enough_bytes.append(enough_bytes)
        left = [n for n in self.notes if sequences.after < n.sequence]
        found = [n for n in left if n.sequence <= sequences.through]
        missed_nothing = self.gone_through is not None and sequences.after >= self.gone_through
        remaining = left[0].sequence if left else self.head + 1
        head = (self.epoch, self.head) if self.epoch else None
        yield ReplayPart(found[: self.part_notes], remaining, missed_nothing, head)
        for begin in range(self.part_notes, len(found), self.part_notes):
            self.between_parts()
            part = [n for n in found[begin : begin + self.part_notes] if n in self.notes]
            yield ReplayPart(part, 0)

    def remove_before(self, sequence: int) -> None:
        """Retention removes the notes before a sequence."""
        self.notes = [note for note in self.notes if note.sequence >= sequence]

    async def list_notes(
        self, room: str, before: int, page_size: int, timeout_seconds: float, client: ClientId
    ) -> NotesPage:
        """Nobody asks for it here."""
        raise NotImplementedError


class ScriptedHeads(Heads):
    """Says what a test has put there."""

    def __init__(self) -> None:
        self.answer = EpochHistory(Head(EPOCH, 0), ())

    async def epoch_history(self, room: str) -> EpochHistory:  # noqa: ARG002
        """Implements `Heads.epoch_history`."""
        return self.answer


class NoDoubts(Doubts):
    """Takes whatever is heard for right."""

    def see(self, room: str, epoch: int) -> None:
        """Implements `Doubts.see`."""

    def suspect(self, room: str, epoch: int, entry: OutboxId) -> None:
        """Implements `Doubts.suspect`."""

    async def check(self) -> None:
        """Implements `Doubts.check`."""


class TrimmedOutbox(OutboxRange):
    """Holds nothing any more."""

    def __init__(self) -> None:
        pass

    async def read(
        self,
        room: str,  # noqa: ARG002
        sequences: SequenceRange,  # noqa: ARG002
        behind: OutboxId,  # noqa: ARG002
    ) -> Found | None:
        """Implements `OutboxRange.read`."""
        return None


def open_room(
    head: Head,
    history: History | None = None,
    heads: Heads | None = None,
    limits: RoomLimits = LIMITS,
    clock: Callable[[], float] = time.monotonic,
) -> Room:
    """A room whose log ends there; without an outbox, so that it repairs from history."""
    history = history or ScriptedHistory()
    shared = Shared(
        history=history,
        gaps=GapReader(TrimmedOutbox(), history),
        heads=heads or ScriptedHeads(),
        doubts=NoDoubts(),
        fan_out=FanOut(),
        limits=limits,
        rings=RingBudget(1_000_000),
        make_audience=GrpcioAudience,
        reads=FairTurns("reads", 100, UNDIVIDED),
        clock=clock,
    )
    room = Room("lobby", shared)
    room.open(head)
    return room


CLIENT = ClientId("192.0.2.1", "1")


class Window:
    """An outlet whose client reads, or does not."""

    def __init__(self) -> None:
        self.room = 1_000_000
        """How many messages it has yet to take."""
        self.taken: list[bytes] = []
        self.ending: Ending | None = None
        self.held: dict[Holder, int] = {}
        """What is held for it elsewhere, by its holders."""
        self.waiting_since: float | None = None
        self.origin = Origin("ipv4:192.0.2.1:5000", "#7")
        self._writable: Callable[[], None] = lambda: None
        self._done: Callable[[], None] = lambda: None

    def write(self, message: bytes) -> bool:
        """Implements `Outlet.write`."""
        if self.room < 1 or self.ending is not None:
            return False
        self.room -= 1
        self.taken.append(message)
        return True

    def on_writable(self, callback: Callable[[], None]) -> None:
        """Implements `Outlet.on_writable`."""
        self._writable = callback

    def on_done(self, callback: Callable[[], None]) -> None:
        """Implements `Outlet.on_done`."""
        self._done = callback

    def hold(self, holder: Holder, size: int) -> None:
        """Implements `Outlet.hold`."""
        self.held[holder] = size

    def lose_pages(self) -> None:
        """Its client holds too much: whoever holds anything for it gives that up."""
        refusal = ShareRefusal("bytes", "client", 1)
        for holder, size in list(self.held.items()):
            if size:
                holder.lose(holder, refusal)
                assert not self.held[holder]

    @property
    def status(self) -> grpc.StatusCode | None:
        """What the stream has ended with."""
        return self.ending and self.ending.code

    def end(
        self, code: grpc.StatusCode, details: str, trailing_metadata: TrailingMetadata = ()
    ) -> None:
        """Implements `Outlet.end`."""
        self.ending = self.ending or Ending(code, details, trailing_metadata)

    def close(self) -> None:
        """Its client does not read any more."""
        self.room = 0

    def open(self, messages: int = 1_000_000) -> None:
        """Its client reads again."""
        self.room = messages
        self._writable()

    def leave(self) -> None:
        """Its client leaves."""
        self._done()

    def events(self) -> list[Event]:
        """What was taken since this was asked the last time."""
        taken, self.taken = b"".join(self.taken), []
        return list(SubscribeResponse.FromString(taken).events)


def subscribed(
    window: Window,
    *rooms: Room,
    start: Start,
    encode: Encoding = as_frames,
    streams: Streams | None = None,
    flows: bool = True,
    after: Cursor | None = None,
) -> Subscription:
    """A stream that begins at the same place in rooms, the replay of which ends where they do.

    `after` is what the client saw last, where that is no longer in the log.
    """
    feed: LiveFeed = None  # type: ignore[assignment]  # the rooms are open already
    hub = Hub(lambda _: rooms[0], feed, SharedHeads(ScriptedHeads()), RoomPlaces(1, UNDIVIDED))
    if streams is None:
        streams = Streams(Shares("streams", 1_000, UNDIVIDED), 60)
    subscription = Subscription(hub, streams, encode, CLIENT)
    subscription.begin([Joined(room, start, room.log.newest, after) for room in rooms])
    if flows:
        subscription.flow(window)
    return subscription
