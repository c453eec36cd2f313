"""What the model of the relay consists of, and the rules that it can leave out."""

from enum import StrEnum
from typing import NamedTuple

from chat_gateway.log.positions import EpochHistory, Head
from chat_gateway.log.room_log import SequenceRange
from notecast_client.cursors import Position
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.fencing import Seen
from tests.model import redis_rules
from tests.model.log_states import Frames, LogState
from tests.model.redis_rules import Data, Note

FIRST_EPOCH = 1_600_000_000_000
"""In ms since 1970: cursors of an epoch before the first ones of ours are refused."""


class Bounds(NamedTuple):
    """What may happen at most in a walk."""

    notes: int
    restarts: int = 0
    """Of Redis: with its data, or without its newest writes."""

    emptyings: int = 0
    """Times that the data vanish while Redis runs on."""

    losses: int = 0
    """Messages that vanish, and subscriptions that are cut."""

    deaths: int = 0
    """Of the gateway, upon which the client goes to another one, and of the stream alone."""

    returns: int = 0
    """Times that a run has older data: those that it kept while another one served, or, with no
    connection ended, of a backup. Then the gateway lives: nobody else knows what was there."""

    failbacks: int = 0
    """Times that the Redis that another one took over from is restarted and serves again; it may
    have taken notes meanwhile, and another process may be there first. Then the gateway lives."""

    rises: int = 0
    """Times that another room of the partition leaves the Redis that another one took over from:
    history may still be there."""


class Reads(StrEnum):
    """Two ways to read a stream."""

    PLAIN = "a plain client: drops what it has from the place on that a Discontinuity names"
    LIBRARY = "our library: hands out each place once, whatever the stream repeats"


class Rule(StrEnum):
    """What keeps the promise. A walk without one shows what it is for."""

    GUARD = "the first command on a new connection begins a new epoch"
    CLOCK = "an epoch's number is the clock's, not one more than the last"
    CONFIRMED = "a room's head is read when its subscription is confirmed"
    GAPS = "a note that skips a sequence waits for what is missing"
    REPAIR = "what is missing is fetched"
    HEAD_CHECK = "heads are compared each second"
    CURSOR_EPOCHS = "a cursor is good up to what survived of its epoch"
    RING_CUT = "a room that enters an epoch drops what did not survive"
    READS_CUT = "what was being read when a room enters an epoch is dropped"
    TELLING = "readers who were shown what did not survive are told"
    TELLING_KEPT = "what a reader has yet to be told outlives another epoch"
    FENCE = "data that lack what the gateway has seen begin a later epoch"
    SUSPECTS = "where a sequence comes twice, what was heard under it first is looked for"
    FORK = "an epoch's common past ends where others went on with older data"
    FLOOR = "where data went back, a room at the floor has nothing in common, written to or not"
    PARTED = "a later epoch of data that never had the one seen has in common what that began with"
    SAME_EPOCH = "a reader begins in the epoch that its start was resolved in"


class Reader(NamedTuple):
    """A stream's place in the room."""

    next_sequence: int
    caught_up_at: int | None
    to_tell: int | None = None
    """Where the log goes on, of which the client has yet to be told."""


class Repair(NamedTuple):
    """What was read of a missing range and has yet to be taken."""

    sequences: SequenceRange
    frames: Frames


class Gateway(NamedTuple):
    """A gateway with one room. What it has read and not yet acted upon is part of its state."""

    subscribed: bool = False
    confirmed: bool = False
    on_the_way: tuple[Note, ...] = ()
    head: Head | None = None
    log: LogState | None = None
    early: tuple[Note, ...] = ()
    enters: bool = False
    history: EpochHistory | None = None
    repair: Repair | None = None
    start: EpochHistory | None = None
    reader: Reader | None = None
    met: bool = True
    """Whether its connections are to the Redis that is there now."""

    outbox_id: OutboxId = redis_rules.BEGIN
    """Of the note that the room has heard last in its order."""

    seen: Seen = Seen(FIRST_EPOCH)
    """Its fence."""

    suspects: frozenset[OutboxId] = frozenset()


class Client(NamedTuple):
    """What a client knows."""

    place: Position | None = None
    """Its cursor."""

    shown: tuple[str, ...] = ()
    """A plain client's notes by sequence; those that our library handed out, in that order."""

    told: int = 0
    """How many of these were shown before the last Discontinuity."""

    repeated: bool = False
    refused: bool = False


class Happened(NamedTuple):
    """How much of the bounds is used up."""

    sent: int = 0
    emptyings: int = 0
    losses: int = 0
    deaths: int = 0
    returns: int = 0
    failbacks: int = 0
    rises: int = 0


class State(NamedTuple):
    """One moment."""

    data: Data
    older: tuple[Data, ...] = ()
    run: int = 0
    clock: int = FIRST_EPOCH
    gateway: Gateway = Gateway()
    left: tuple[Data, int] | None = None
    """The Redis that another one took over from: its data and its run."""

    client: Client = Client()
    happened: Happened = Happened()
