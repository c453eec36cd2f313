"""Accepting, persisting by two workers, trimming and retention, on a Redis that forgets.

One partition with one room. Redis may come back without its newest writes. The rules are those of
`accept.lua`, `guard.lua`, `persist.lua`, `age_retention.lua` and of `PersistWorker`. A lease spares
work and is no rule: here any worker may work at any time.

Judged: each note that Redis accepted and still remembers is in the room's stream in the end,
unless retention removed it, and is in the stream or in the outbox's tail at every moment before;
nothing else is ever in the stream.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from notecast_runtime.outbox import OutboxId
from tests.model import redis_rules
from tests.model.explore import Kind, Step, Violation
from tests.model.redis_rules import Data, Entry, Note

BATCH_NOTES = 2
FORGOTTEN_WRITES = 2
"""The most writes that a restart loses."""

RETENTION_NOTES = 2
REMEMBERED_EPOCHS = 2
WORKERS = 2
_KEEP_OUTBOX, _TRIM_ALL = redis_rules.BEGIN, OutboxId(1_000, 0)
_ALL_NOTES = 1_000


class Bounds(NamedTuple):
    """What may happen at most in a walk."""

    notes: int
    restarts: int
    """Of Redis: with its data, or without its newest writes."""

    emptyings: int
    """Times that the data vanish while Redis runs on."""

    sweeps: int
    """Times that age retention removes a room's notes."""

    returns: int = 0
    """Times that the same run has older data, and no connection ends."""


class Rule(StrEnum):
    """What keeps the promise. A walk without one shows what it is for."""

    GUARD = "the first command on a new connection begins a new epoch"
    REFUSAL = "a batch of another epoch is refused"
    NEWER_DATA = "a batch that was read from newer data is refused"
    EPOCH_FIRST = "the epoch is read before the batch"
    CLOCK = "an epoch's number is the clock's, not one more than the last"
    TRIM_BEHIND = "the outbox is trimmed behind the persisted position only"
    TRIM_IN_SCRIPT = "the trimming goes by the position that Redis holds"
    REFRESH = "a worker reads its place anew each second"
    NEWER_ONLY = "a note that is not after the persisted position is passed over"
    FLOOR = "a room that was forgotten begins above all that was given out"


class OutboxPosition(NamedTuple):
    """Where a worker believes that persisting stands."""

    epoch: int | None
    position: OutboxId


class Batch(NamedTuple):
    """What a worker holds in hand."""

    epoch: int | None
    entries: tuple[Entry, ...]


class Worker(NamedTuple):
    """A history replica's worker. `run` is the run of Redis that it is connected to."""

    run: int = -1
    place: OutboxPosition | None = None
    batch: Batch | None = None


class Kept(NamedTuple):
    """What a restart may take back: Redis's data, and what is true of them."""

    data: Data
    accepted: tuple[Note, ...] = ()
    retired: int = 0
    """The highest sequence that retention has removed."""


class State(NamedTuple):
    """One moment."""

    kept: Kept
    older: tuple[Kept, ...] = ()
    """Before each of the newest writes, the latest last."""

    workers: tuple[Worker, ...] = (Worker(),) * WORKERS
    run: int = 0
    clock: int = 1
    sent: int = 0
    emptyings: int = 0
    sweeps: int = 0
    returns: int = 0


class PersistModel:
    """The walk's model.

    Args:
        rules: those in force.
        bounds: on what happens.
    """

    def __init__(self, rules: frozenset[Rule], bounds: Bounds) -> None:
        self._rules = rules
        self._bounds = bounds

    def first(self) -> State:
        """A Redis that has been met once."""
        return State(Kept(Data(run=0, epoch=1)))

    def steps(self, state: State) -> Iterator[Step[State]]:
        """Sends and faults, which may come; the workers' work, which is owed."""
        yield from self._accepts(state)
        yield from self._restarts(state)
        yield from self._returns(state)
        yield from self._removals(state)
        for index in range(WORKERS):
            yield from self._works(state, index)

    def judge(self, state: State, *, settled: bool) -> Violation | None:
        """Compares the stream with what was accepted, not lost and not removed."""
        data, accepted, retired = state.kept
        alive = [note for note in accepted if note.sequence > retired]
        for note in data.stream:
            if note not in accepted:
                return Violation(Kind.STRANGER, f"{note} in the stream, accepted {accepted}")
            if note.sequence <= retired:
                return Violation(Kind.RETURNED, f"{note} was removed and is in the stream")
        tail = () if settled else _tail(data)
        missing = [note for note in alive if note not in data.stream and note not in tail]
        if missing:
            return Violation(Kind.LOST, f"{missing} in neither stream nor outbox")
        return None

    def _accepts(self, state: State) -> Iterator[Step[State]]:
        if state.sent == self._bounds.notes:
            return
        state = self._connect(state)
        data, accepted, retired = state.kept
        clock = state.clock + (data.epoch is None)
        number = state.sent + 1
        outbox_id = OutboxId(number, 0)  # by a clock: no id is ever made twice
        data, note = redis_rules.accept(data, f"n{number}", outbox_id, clock)
        state = _written(state, Kept(data, (*accepted, note), retired))
        yield Step("accept", state._replace(sent=number, clock=clock))

    def _connect(self, state: State) -> State:
        """Whoever comes on a new connection meets the guard first."""
        if Rule.GUARD not in self._rules or state.kept.data.run == state.run:
            return state
        clock = state.clock + 1
        number = clock if Rule.CLOCK in self._rules else (state.kept.data.epoch or 0) + 1
        data = redis_rules.guard(state.kept.data, state.run, number, REMEMBERED_EPOCHS)
        return _written(state, state.kept._replace(data=data))._replace(clock=clock)

    def _removals(self, state: State) -> Iterator[Step[State]]:
        kept = state.kept
        if state.emptyings < self._bounds.emptyings and kept.data != Data():
            emptied = state._replace(kept=Kept(Data()), older=(), emptyings=state.emptyings + 1)
            yield Step("the data vanish", emptied)
        if state.sweeps < self._bounds.sweeps and kept.data.stream:
            data = redis_rules.retire(kept.data, len(kept.data.stream))
            if Rule.FLOOR not in self._rules:
                data = data._replace(floor=0)
            swept = kept._replace(data=data, retired=kept.data.stream[-1].sequence)
            yield Step("age retention", _written(state, swept)._replace(sweeps=state.sweeps + 1))

    def _restarts(self, state: State) -> Iterator[Step[State]]:
        if state.run == self._bounds.restarts:
            return
        for kept in dict.fromkeys((state.kept, *state.older)):
            label = "restart" if kept == state.kept else "restart without the newest writes"
            yield Step(label, state._replace(kept=kept, older=(), run=state.run + 1))

    def _returns(self, state: State) -> Iterator[Step[State]]:
        if state.returns == self._bounds.returns:
            return
        for kept in state.older:
            older = state._replace(kept=kept, older=(), returns=state.returns + 1)
            yield Step("older data under the same run", older)

    def _works(self, state: State, index: int) -> Iterator[Step[State]]:
        worker = state.workers[index]
        data = state.kept.data
        if worker.run != state.run:
            met = self._connect(state)
            yield Step("reconnect", _with(met, index, worker._replace(run=met.run)), owed=True)
        elif worker.batch is not None:
            yield Step("worker dies", _with(state, index, Worker()))
            yield from self._persists(state, index, worker.batch)
        elif worker.place is None:
            read = worker._replace(place=OutboxPosition(data.epoch, data.persisted))
            yield Step("read the place", _with(state, index, read), owed=True)
        else:
            yield from self._reads(state, index, worker, worker.place)

    def _reads(
        self, state: State, index: int, worker: Worker, place: OutboxPosition
    ) -> Iterator[Step[State]]:
        data = state.kept.data
        behind = tuple(entry for entry in data.outbox if entry.outbox_id > place.position)
        if behind:
            epoch = place.epoch if Rule.EPOCH_FIRST in self._rules else data.epoch
            batch = Batch(epoch, behind[:BATCH_NOTES])
            yield Step("read a batch", _with(state, index, worker._replace(batch=batch)), owed=True)
        if Rule.REFRESH in self._rules and place != OutboxPosition(data.epoch, data.persisted):
            asks = worker._replace(place=None)
            yield Step("ask for the place", _with(state, index, asks), owed=True)
        if Rule.TRIM_IN_SCRIPT not in self._rules:
            trimmed = redis_rules.trim_outbox(data, place.position)
            yield Step("trim", _written(state, state.kept._replace(data=trimmed)))

    def _persists(self, state: State, index: int, batch: Batch) -> Iterator[Step[State]]:
        worker = state.workers[index]
        asks = worker._replace(place=None, batch=None)
        if Rule.REFUSAL in self._rules and state.kept.data.epoch != batch.epoch:
            yield Step("batch refused", _with(state, index, asks), owed=True)
            return
        if Rule.NEWER_DATA in self._rules and redis_rules.is_of_newer_data(
            state.kept.data, batch.entries
        ):
            yield Step("batch of newer data refused", _with(state, index, asks), owed=True)
            return
        for kept in self._written_batches(state.kept, batch):
            place = OutboxPosition(batch.epoch, kept.data.persisted)
            done = worker._replace(place=place, batch=None)
            after = _written(state, kept)
            yield Step("persist", _with(after, index, done), owed=True)
            yield Step("persist, answer lost", _with(after, index, asks))

    def _written_batches(self, kept: Kept, batch: Batch) -> Iterable[Kept]:
        for trim in (_KEEP_OUTBOX, _TRIM_ALL):
            data = self._write(kept.data, batch, RETENTION_NOTES, trim)
            if Rule.TRIM_BEHIND not in self._rules and trim == _TRIM_ALL:
                data = data._replace(outbox=())
            whole = self._write(kept.data, batch, _ALL_NOTES, _KEEP_OUTBOX)
            removed = [note.sequence for note in whole.stream if note not in data.stream]
            yield kept._replace(data=data, retired=max([kept.retired, *removed]))

    def _write(self, data: Data, batch: Batch, retention_notes: int, trim: OutboxId) -> Data:
        passes_over = Rule.NEWER_ONLY in self._rules
        entries = batch.entries
        return redis_rules.write_batch(
            data, entries, retention_notes, trim, passes_over=passes_over
        )


def _written(state: State, kept: Kept) -> State:
    if kept == state.kept:
        return state
    return state._replace(kept=kept, older=(*state.older, state.kept)[-FORGOTTEN_WRITES:])


def _with(state: State, index: int, worker: Worker) -> State:
    # Workers differ in nothing but what they hold: their order does not count.
    workers = (*state.workers[:index], *state.workers[index + 1 :], worker)
    return state._replace(workers=tuple(sorted(workers, key=hash)))


def _tail(data: Data) -> tuple[Note, ...]:
    return tuple(entry.note for entry in data.outbox if entry.outbox_id > data.persisted)
