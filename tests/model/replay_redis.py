"""A Redis for history's readers, with others at work before each of its answers.

What they do is chosen from outside, so that all choices can be tried. Runs that were given the same
answers and stand before the same data go on alike: only the first of them does.
"""

from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from functools import cache, partial
from typing import NamedTuple, Self

from notecast.v1.note_pb2 import Note
from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    KNOWN_FROM_FIELD,
    epoch_key,
    forgotten_before_key,
    forgotten_field,
    forgotten_key,
    heads_key,
    log_key,
    outbox_key,
    partition_of,
    persisted_key,
)
from notecast_runtime.outbox import OutboxId
from tests.model import redis_rules
from tests.model.redis_rules import Data, Entry

NOTES = 3
"""Accepted to begin with."""

ACCEPTS = 1
"""Accepted at any moment later."""

RETIRES = 1
_EPOCH = 1
_KEEP_OUTBOX, _TRIM_ALL = redis_rules.BEGIN, OutboxId(1_000, 0)
_ALL_NOTES = 1_000
ROOM = "room"
_NEIGHBOUR = next(n for n in map(str, range(10_000)) if partition_of(n) == partition_of(ROOM))

RawEntries = list[tuple[bytes, dict[bytes, bytes]]]


class Rule(StrEnum):
    """What keeps the promise. A walk without one shows what it is for."""

    STREAM_LAST = "the stream is read behind the outbox's tail"
    TRIM_BEHIND = "the outbox is trimmed behind the persisted position only"
    REMAINS_SAID = "an answer says what remains first"
    LAST_REMEMBERED = "the last sequence of a room that was forgotten is remembered"


class World(NamedTuple):
    """The data, and what has happened to them."""

    data: Data
    accepts: int = 0
    retires: int = 0
    retired: int = 0
    """The highest sequence that retention has removed."""

    given_out: tuple[int, ...] = ()
    """All sequences that the room's notes ever had."""


class SeenBefore(Exception):  # noqa: N818 - not an error
    """Another run has been here."""


class Choices:
    """The decisions of one run: the first ones as told, the others the first of each kind."""

    def __init__(self, told: Sequence[int]) -> None:
        self._told = told
        self.taken: list[tuple[int, int]] = []

    @property
    def new(self) -> bool:
        """Whether all that was told has been done."""
        return len(self.taken) >= len(self._told)

    def choose(self, count: int) -> int:
        """One of `count` ways on."""
        number = 0 if self.new else self._told[len(self.taken)]
        self.taken.append((number, count))
        return number

    def next_told(self) -> list[int] | None:
        """What to tell the next run; None after the last one."""
        taken = list(self.taken)
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        return [*(number for number, _ in taken[:-1]), taken[-1][0] + 1] if taken else None


class ModelRedis:
    """The commands that history's readers use; others are at work before each is answered."""

    def __init__(
        self, world: World, rules: frozenset[Rule], choices: Choices, seen: set[object]
    ) -> None:
        self.world = world
        self.done: list[str] = []
        self._rules = rules
        self._choices = choices
        self._seen = seen
        self._answers: list[object] = []

    async def hmget(self, key: str, *fields: str) -> list[bytes | None]:
        partition = partition_of(ROOM)
        self.meanwhile()
        if key in {forgotten_key(partition), forgotten_before_key(partition)}:
            assert fields == (forgotten_field(ROOM), KNOWN_FROM_FIELD)
            return self._forgotten(is_first=key == forgotten_key(partition))
        assert (key, *fields) == (heads_key(partition), ROOM, FLOOR_FIELD)
        head, floor = self.world.data.head, self.world.data.floor
        self._answer_value(b"%d %d" % (head, floor))
        return [b"%d" % head if head else None, b"%d" % floor if floor else None]

    def pipeline(self, *, transaction: bool) -> "_Together":
        """As redis-py's."""
        assert not transaction
        return _Together(self)

    def _forgotten(self, *, is_first: bool) -> list[bytes | None]:
        """What is remembered, which is not so much that any of it would be moved."""
        data = self.world.data
        if not is_first or data.known_from is None or data.forgotten is None:
            self._answer_value(b"nothing")
            return [None, None]
        last, known_from = b"%d" % data.forgotten.last, b"%d" % data.known_from
        self._answer_value(last + b" " + known_from)
        return [last if Rule.LAST_REMEMBERED in self._rules else None, known_from]

    async def get(self, key: str) -> bytes:
        assert key == persisted_key(partition_of(ROOM))
        self.meanwhile()
        return self._answer_value(str(self.world.data.persisted).encode())

    async def xrange(self, key: str, first: str, last: str, count: int) -> RawEntries:
        self.meanwhile()
        found = [entry for entry in self._entries(key) if _between(entry[0], first, last)]
        return self._answer_entries(found[:count])

    async def xrevrange(self, key: str, last: str, first: str, count: int) -> RawEntries:
        self.meanwhile()
        found = [entry for entry in self._entries(key) if _between(entry[0], first, last)]
        return self._answer_entries(found[::-1][:count])

    def _entries(self, key: str) -> RawEntries:
        if key == log_key(ROOM):
            return [_raw_note(note) for note in self.world.data.stream]
        assert key == outbox_key(partition_of(ROOM))
        return [raw for entry in self.world.data.outbox for raw in _raw(entry)]

    def _answer_value(self, value: bytes) -> bytes:
        self._answers.append(value)
        return value

    def _answer_entries(self, entries: RawEntries) -> RawEntries:
        self._answers.append(tuple(entry_id for entry_id, _ in entries))
        return entries

    def begin(self) -> World:
        """The data as a read finds them."""
        self.meanwhile()
        self._answers.append((self.world.data.head, self.world.retired))
        return self.world

    def meanwhile(self) -> None:
        """Lets others work, as chosen."""
        while True:
            here = (tuple(self._answers), self.world)
            if self._choices.new:
                if here in self._seen:
                    raise SeenBefore
                self._seen.add(here)
            steps = _steps(self.world, Rule.TRIM_BEHIND in self._rules)
            number = self._choices.choose(len(steps) + 1)
            if number == 0:
                return
            label, self.world = steps[number - 1]
            self.done.append(label)


def first_world(notes: int) -> World:
    world = World(Data(epoch=_EPOCH))
    for _ in range(notes):
        world = _accept(world)
    return world


@cache
def _steps(world: World, trims_behind: bool) -> tuple[tuple[str, World], ...]:  # noqa: FBT001
    """What others may do next."""
    steps = []
    for trim, label in ((_KEEP_OUTBOX, "persist"), (_TRIM_ALL, "persist and trim")):
        if (data := _persisted(world.data, trim)) is not None:
            if trim == _TRIM_ALL and not trims_behind:
                data = data._replace(outbox=())
            steps.append((label, world._replace(data=data)))
    if world.retires < RETIRES and world.data.stream:
        data = redis_rules.retire(world.data, 1)
        retired = world.data.stream[0].sequence
        after = world._replace(data=data, retires=world.retires + 1, retired=retired)
        steps.append(("retire", after))
    if world.accepts < ACCEPTS:
        steps.append(("accept", _accept(world)._replace(accepts=world.accepts + 1)))
    return tuple(steps)


def _persisted(data: Data, trim: OutboxId) -> Data | None:
    tail = [entry for entry in data.outbox if entry.outbox_id > data.persisted]
    return redis_rules.write_batch(data, (tail[0],), _ALL_NOTES, trim) if tail else None


def _accept(world: World) -> World:
    number = redis_rules.stands_at(world.data) + 1
    data, _ = redis_rules.accept(world.data, body_of(number), OutboxId(number, 0), _EPOCH)
    return world._replace(data=data, given_out=(*world.given_out, number))


def body_of(sequence: int) -> str:
    return f"text {sequence}"


@cache
def note_bytes(body: str) -> bytes:
    return Note(text=body).SerializeToString()


def _raw_note(note: redis_rules.Note) -> tuple[bytes, dict[bytes, bytes]]:
    """A note of the stream as redis-py gives it."""
    fields = {b"e": b"%d" % note.epoch, b"n": note_bytes(note.body), **_floor(note)}
    return b"%d-0" % note.sequence, fields


def _floor(note: redis_rules.Note) -> dict[bytes, bytes]:
    return {b"f": b"%d" % note.floor} if note.floor else {}


@cache
def _raw(entry: Entry) -> RawEntries:
    """A note's entry as redis-py gives it, and one of another room after it."""
    outbox_id, note = entry
    place = {b"e": b"%d" % note.epoch, b"s": b"%d" % note.sequence, b"n": note_bytes(note.body)}
    behind = outbox_id._replace(counter=1)
    return [
        (str(outbox_id).encode(), {b"r": ROOM.encode(), **place, **_floor(note)}),
        (str(behind).encode(), {b"r": _NEIGHBOUR.encode(), **place}),
    ]


def _between(raw_id: bytes, first: str, last: str) -> bool:
    entry_id = OutboxId.parse(raw_id)
    if first.startswith("("):
        above = entry_id > OutboxId.parse(first[1:])
    else:
        above = first == "-" or entry_id >= OutboxId.parse(first)
    return above and (last == "+" or entry_id <= OutboxId.parse(last))


class _Together:
    """Commands that are sent together, between which others are at work, too.

    They are for a room's head, the epoch, which decides nothing, and the end of its stream.
    """

    def __init__(self, redis: ModelRedis) -> None:
        self._redis = redis
        self._questions: list[Callable[[], Awaitable[object]]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def get(self, key: str) -> None:
        assert key == epoch_key(partition_of(ROOM))
        self._questions.append(self._epoch)

    def hmget(self, key: str, *fields: str) -> None:
        self._questions.append(partial(self._redis.hmget, key, *fields))

    def xrevrange(self, key: str, last: str, first: str, count: int) -> None:
        self._questions.append(partial(self._redis.xrevrange, key, last, first, count))

    async def execute(self, *, raise_on_error: bool = True) -> list[object]:  # noqa: ARG002 - as redis-py's
        return [await question() for question in self._questions]

    async def _epoch(self) -> bytes:
        return b"1"
