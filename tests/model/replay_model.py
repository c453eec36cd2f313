"""History's own `Replayer` and `Pager` on a modelled Redis, with others at work between reads.

Before each answer of Redis, others may persist a note (and trim the outbox or not), retire one, or
accept one. The readers run as they are: every choice of what happens when is tried by running them
anew (`replay_redis.py`).

Judged: what was acknowledged when the read began, and retention has not removed when it ends, is
in the answer, once and in order; `first_remaining` tells of what is gone, and of nothing else.
Nobody is told to have missed nothing who has.
"""

from collections import Counter
from collections.abc import Coroutine, Iterable
from typing import Any, NamedTuple, cast

from history.outbox_tail import OutboxTail
from history.paging import Pager
from history.replay import Replayer
from history.room_log import LogPage, RoomHead, RoomLog
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.redis.client import Redis
from tests.model.explore import Kind, Outcome, Violation
from tests.model.replay_redis import (
    ACCEPTS,
    NOTES,
    ROOM,
    Choices,
    ModelRedis,
    Rule,
    SeenBefore,
    World,
    body_of,
    first_world,
    note_bytes,
)

PAGE_NOTES = 2
"""Of the stream."""

TAIL_ENTRIES = 3
"""Of a page of the tail: it ends within the entries of a note and of its neighbour."""


class Read(NamedTuple):
    """What is asked for."""

    after: int
    through: int
    backwards: bool = False
    """Whether the pager is asked, for the notes after `after`."""

    notes: int = NOTES
    """How many there are to begin with."""


READS = (
    *(Read(0, 0), Read(1, 3), Read(0, 0, backwards=True), Read(1, 4, backwards=True)),
    *(Read(0, 0, notes=1), Read(1, 0, notes=1)),  # of a room that retention may have forgotten
)


class Answered(NamedTuple):
    """What a reader was given."""

    notes: list[LoggedNote]
    first_remaining: int
    nothing_missed: bool = False


class _ReadsStreamOnce(RoomLog):
    """Gives the page of before where the stream is to be read again."""

    _last: tuple[object, LogPage] = ((), LogPage(ROOM, [], full=False))

    async def forward(self, room: str, after: int, through: int, count: int) -> LogPage:
        asked = (after, through)
        if self._last[0] != asked:
            self._last = (asked, await super().forward(room, after, through, count))
        return self._last[1]

    async def head_and_last(self, room: str, before: int, count: int) -> tuple[RoomHead, LogPage]:
        head, page = await super().head_and_last(room, before, count)
        through = min(before - 1, head.sequence) if before else head.sequence
        self._last = ((through,), page)
        return head, page

    async def backward(self, room: str, through: int, count: int) -> LogPage:
        asked = (through,)
        if self._last[0] != asked:
            self._last = (asked, await super().backward(room, through, count))
        return self._last[1]


def explore_reads(rules: frozenset[Rule], read: Read) -> Outcome:
    """Tries all that may happen while one read is under way, to the first violation."""
    seen: set[object] = set()
    told: list[int] | None = []
    ended = 0
    while told is not None:
        choices = Choices(told)
        redis = ModelRedis(first_world(read.notes), rules, choices, seen)
        try:
            begun = redis.begin()
            answered = _run(_reader(redis, rules, read))
        except SeenBefore:
            pass
        else:
            ended += 1
            violation = _judge(read, begun, redis.world, answered)
            if violation is not None:
                return Outcome(len(seen), ended, Counter(), violation, tuple(redis.done))
        told = choices.next_told()
    return Outcome(len(seen), ended, Counter(), None, ())


async def _reader(redis: ModelRedis, rules: frozenset[Rule], read: Read) -> Answered:
    client = cast(Redis, redis)
    log = RoomLog(client) if Rule.STREAM_LAST in rules else _ReadsStreamOnce(client)
    tail = OutboxTail(client, TAIL_ENTRIES)
    if read.backwards:
        before = read.through + 1 if read.through else 0
        page = await Pager(log, tail).page(ROOM, before, NOTES + ACCEPTS - read.after)
        return Answered([note for note in page.notes if note.sequence > read.after], 0)
    notes: list[LoggedNote] = []
    first_remaining = 0
    nothing_missed = False
    replayer = Replayer(log, tail, PAGE_NOTES)
    async for response in replayer.replay(ROOM, read.after, read.through):
        notes += response.notes
        first_remaining = first_remaining or response.first_remaining
        nothing_missed = nothing_missed or response.nothing_missed
    if Rule.REMAINS_SAID not in rules:
        first_remaining = read.after + 1
    return Answered(notes, first_remaining, nothing_missed)


def _run(reading: Coroutine[Any, Any, Answered]) -> Answered:
    """Runs what never waits: the modelled Redis answers at once."""
    try:
        reading.send(None)
    except StopIteration as ended:
        return cast(Answered, ended.value)
    finally:
        reading.close()
    raise AssertionError("the reader waits for something else than Redis")


def _judge(read: Read, begun: World, ended: World, answered: Answered) -> Violation | None:
    through = min(read.through or begun.data.head, begun.data.head)
    wanted = _among(begun.given_out, max(read.after, ended.retired), through)
    sequences = [note.sequence for note in answered.notes]
    text = f"{read}: {sequences} of {wanted}, {answered.first_remaining} remains first"
    if sequences != sorted(set(sequences)):
        return Violation(Kind.REPEATED, text)
    if not set(wanted) <= set(sequences):
        return Violation(Kind.LOST, text)
    if any(note.note != note_bytes(body_of(note.sequence)) for note in answered.notes):
        return Violation(Kind.STRANGER, text)
    if read.backwards:
        return None
    passed = _among(ended.given_out, read.after, answered.first_remaining - 1)
    hides = answered.nothing_missed and passed
    if hides or answered.first_remaining <= max(read.after, begun.retired):
        return Violation(Kind.UNTOLD, f"{text}, nothing was missed: {answered.nothing_missed}")
    falsely = [sequence for sequence in wanted if sequence < answered.first_remaining]
    return Violation(Kind.LOST, text) if falsely else None


def _among(sequences: Iterable[int], after: int, through: int) -> list[int]:
    return [sequence for sequence in sequences if after < sequence <= through]
