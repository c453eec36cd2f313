"""From Redis to a client: a room in a gateway, its reader, and all that can go wrong on the way.

The gateway's log is the gateway's own `RoomLog` (`log_states.py`); where a cursor resumes says its
`resolve_start`; what the client hands out, its `RoomProgress` (`relay_client.py`). The rest of
`room.py`, `subscription.py` and `hub.py` is restated in steps, each of which ends where the code
awaits. That reading the log is right is what `replay_model.py` shows: here it is one step.

Judged: in the end a client has what Redis still holds, each note once and in order, and was told
where it had been shown something else.
"""

from collections.abc import Iterator

from chat_gateway.log.cursors import Start
from chat_gateway.log.positions import EpochHistory, Head
from chat_gateway.log.room_log import SequenceRange
from notecast_client.cursors import Position
from notecast_runtime.errors import InvalidRequestError
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.fencing import Seen
from tests.model import log_states, redis_rules
from tests.model.explore import Kind, Step, Violation
from tests.model.log_states import RING_NOTES, Frames, LogState
from tests.model.redis_rules import BEGIN, NOTHING_SEEN, Data, Fence
from tests.model.relay_client import NOTHING, frame, resolved_start, shown, told
from tests.model.relay_room import (
    enter,
    hear,
    hear_early,
    hear_head,
    is_doubtful,
    recalled,
    see,
    suspect,
)
from tests.model.relay_state import (
    FIRST_EPOCH,
    Bounds,
    Gateway,
    Reader,
    Reads,
    Repair,
    Rule,
    State,
)

FORGOTTEN_WRITES = 2
"""The most writes that a restart loses."""

REMEMBERED_EPOCHS = 2
HEAD_CHECK_FOUND = "the head check finds a note that would not have been heard"


class RelayModel:
    """The walk's model.

    Args:
        rules: those in force.
        bounds: on what happens.
        reads: what kind of client there is.
    """

    def __init__(self, rules: frozenset[Rule], bounds: Bounds, reads: Reads) -> None:
        self._rules = rules
        self._bounds = bounds
        self._reads = reads

    def first(self) -> State:
        """A Redis that has been met once, a gateway without the room, a client that wants it."""
        data = Data(run=0, epoch=FIRST_EPOCH)
        if self._bounds.rises:  # another room has had a note, which is persisted and trimmed
            data = data._replace(last_id=OutboxId(0, 1), added=1)
        return State(data)

    def steps(self, state: State) -> Iterator[Step[State]]:
        """Sends and faults, which may come; what gateway and client do, which is owed."""
        yield from self._accepts(state)
        yield from self._redis_faults(state)
        yield from self._returns(state)
        yield from self._left_behind(state)
        yield from self._checks_data(state)
        yield from self._gateway_faults(state)
        yield from self._hears(state)
        yield from self._reads_head(state)
        yield from self._takes_head(state)
        if state.gateway.log is not None:
            yield from self._enters(state, state.gateway.log)
            yield from self._repairs(state, state.gateway.log)
            yield from self._joins(state, state.gateway.log)
            yield from self._delivers(state, state.gateway.log)

    def judge(self, state: State, *, settled: bool) -> Violation | None:
        """What the client was shown against what the log holds."""
        client = state.client
        log = tuple(entry.note.body for entry in state.data.outbox)
        text = f"shown {client.shown}, log {log}"
        if client.refused:
            return Violation(Kind.REFUSED, f"{client.place}")
        if client.repeated:
            return Violation(Kind.REPEATED, text)
        if not settled:
            return None
        still = client.shown if self._reads is Reads.PLAIN else client.shown[client.told :]
        if any(body != NOTHING and body not in log for body in still):
            return Violation(Kind.UNTOLD, text)
        if tuple(body for body in client.shown if body in log) != log:
            return Violation(Kind.LOST, text)
        return None

    # Redis

    def _connect(self, state: State) -> State:
        """Whoever comes on a new connection meets the guard first; old ones end with their run."""
        if Rule.GUARD not in self._rules or state.data.run == state.run:
            return state
        return self._guarded(state, Seen(0))

    def _guarded(self, state: State, seen: Seen) -> State:
        """After the guard was asked by somebody who has seen this."""
        fence = self._fence(state, seen)
        number = state.clock + 1 if Rule.CLOCK in self._rules else FIRST_EPOCH
        data = redis_rules.guard(state.data, state.run, number, REMEMBERED_EPOCHS, fence)
        if Rule.FORK not in self._rules and data.ends:
            data = data._replace(ends=(*data.ends[:-1], data.ends[-1]._replace(end=data.head)))
        return state if data == state.data else _written(self._tick(state), data)

    def _fence(self, state: State, seen: Seen) -> Fence:
        """What was seen, as the guard is told of it."""
        data = state.data
        if not seen.epoch:
            return NOTHING_SEEN
        fork = seen.fork(data.epoch or 0)
        common = seen.newest if seen.epoch == data.epoch else fork
        if Rule.FLOOR not in self._rules and data.run != state.run and common >= data.last_id:
            return Fence(seen.epoch, begins=None)  # nothing came after it: taken for a restart
        begins = seen.begins if Rule.PARTED in self._rules else None
        return Fence(seen.epoch, seen.newest, fork if Rule.FORK in self._rules else None, begins)

    def _reach(self, state: State) -> State:
        """The gateway's own connections, made anew where they have ended."""
        if Rule.FENCE not in self._rules or state.gateway.met:
            return self._connect(state)
        return self._check(_with(state, met=True))

    def _check(self, state: State) -> State:
        """As DataCheck.check: the guard is asked with what the gateway has seen."""
        if Rule.GUARD not in self._rules:
            return state
        state = self._guarded(state, recalled(state.gateway, state.data))
        there = {entry.outbox_id for entry in state.data.outbox} & state.gateway.suspects
        gateway = see(state.gateway, state.gateway.seen.epoch, max(there, default=BEGIN))
        gateway = gateway._replace(suspects=frozenset())
        if state.data.epoch is None:
            return state._replace(gateway=gateway)
        gateway = see(gateway, state.data.epoch)
        if state.data.epoch == gateway.seen.epoch and state.data.began is not None:
            begins = tuple(dict.fromkeys((*gateway.seen.begins, state.data.began)))
            gateway = gateway._replace(seen=gateway.seen._replace(begins=begins))
        return state._replace(gateway=gateway)

    def _with_epoch(self, state: State, *, own: bool = True) -> State:
        """After `heads.lua`, by the gateway itself or by another one."""
        state = self._reach(state) if own else self._connect(state)
        if state.data.epoch is not None:
            return state
        state = self._tick(state)
        return _written(state, redis_rules.ensure_epoch(state.data, self._number(state)))

    def _tick(self, state: State) -> State:
        return state._replace(clock=state.clock + 1)

    def _number(self, state: State) -> int:
        return state.clock if Rule.CLOCK in self._rules else FIRST_EPOCH

    def _accepts(self, state: State) -> Iterator[Step[State]]:
        if state.happened.sent == self._bounds.notes:
            return
        state = self._with_epoch(state, own=False)
        number = state.happened.sent + 1
        outbox_id = OutboxId(number, 0)
        data, note = redis_rules.accept(state.data, chr(number), outbox_id, state.clock)
        state = _written(state, data)
        gateway = state.gateway
        if gateway.subscribed:
            gateway = gateway._replace(on_the_way=(*gateway.on_the_way, note))
        happened = state.happened._replace(sent=number)
        yield Step("accept", state._replace(gateway=gateway, happened=happened))

    def _redis_faults(self, state: State) -> Iterator[Step[State]]:
        if state.run < self._bounds.restarts:
            # What had reached the gateway by then may still be heard.
            gateway = state.gateway._replace(subscribed=False, met=False)
            for data in dict.fromkeys((state.data, *state.older)):
                label = "restart" if data == state.data else "restart without the newest writes"
                after = state._replace(data=data, older=(), run=state.run + 1, gateway=gateway)
                if self._bounds.returns or self._bounds.failbacks:
                    after = after._replace(left=(state.data, state.run))
                yield Step(label, after)
        happened = state.happened
        if happened.emptyings < self._bounds.emptyings and state.data.epoch is not None:
            happened = happened._replace(emptyings=happened.emptyings + 1)
            yield Step("the data vanish", state._replace(data=Data(), older=(), happened=happened))

    def _returns(self, state: State) -> Iterator[Step[State]]:
        if state.happened.returns == self._bounds.returns:
            return
        happened = state.happened._replace(returns=state.happened.returns + 1)
        for data in state.older:
            after = state._replace(data=data, older=(), happened=happened)
            yield Step("older data under the same run", after)
        if state.left is not None:
            data, run = state.left
            gateway = state.gateway._replace(subscribed=False, met=False)
            after = state._replace(data=data, older=(), run=run, left=None, happened=happened)
            yield Step("failback", after._replace(gateway=gateway))

    def _left_behind(self, state: State) -> Iterator[Step[State]]:
        """What becomes of the Redis that another one took over from."""
        if state.left is None:
            return
        (data, run), happened = state.left, state.happened
        if happened.rises < self._bounds.rises:
            risen = (data._replace(floor=data.floor + 1), run)
            happened = happened._replace(rises=happened.rises + 1)
            yield Step("the floor rises there", state._replace(left=risen, happened=happened))
        happened = state.happened
        if self._bounds.failbacks and happened.sent < self._bounds.notes:
            number = happened.sent + 1
            data, _ = redis_rules.accept(data, chr(number), OutboxId(number, 0), state.clock)
            sent = happened._replace(sent=number)
            yield Step("accept there", state._replace(left=(data, run), happened=sent))
            data, run = state.left
        if happened.failbacks < self._bounds.failbacks:
            happened = happened._replace(failbacks=happened.failbacks + 1)
            gateway = state.gateway._replace(subscribed=False, met=False)
            after = state._replace(data=data, older=(), run=state.run + 1, left=None)
            after = after._replace(gateway=gateway, happened=happened)
            yield Step("failback after a restart", after)
            yield Step("failback after a restart, met by another process", self._connect(after))

    def _checks_data(self, state: State) -> Iterator[Step[State]]:
        """The check of each second finds that something is missing."""
        if Rule.FENCE not in self._rules or state.data.epoch is None:
            return
        seen = recalled(state.gateway, state.data)
        fence = redis_rules.Fence(seen.epoch, seen.newest)
        if state.gateway.suspects or redis_rules.is_older(state.data, fence):
            yield Step("check the data", self._check(state), owed=True)

    def _gateway_faults(self, state: State) -> Iterator[Step[State]]:
        gateway, happened = state.gateway, state.happened
        if happened.losses < self._bounds.losses:
            after = state._replace(happened=happened._replace(losses=happened.losses + 1))
            if gateway.on_the_way:
                less = gateway._replace(on_the_way=gateway.on_the_way[1:])
                yield Step("message lost", after._replace(gateway=less))
            if gateway.subscribed:
                cut = gateway._replace(subscribed=False)
                yield Step("subscription cut", after._replace(gateway=cut))
        if happened.deaths < self._bounds.deaths and gateway.reader is not None:
            after = state._replace(happened=happened._replace(deaths=happened.deaths + 1))
            if not self._bounds.returns and not self._bounds.failbacks:
                yield Step("gateway dies", after._replace(gateway=Gateway()))
            yield Step("stream cut", after._replace(gateway=gateway._replace(reader=None)))

    # The live feed, and the heads

    def _hears(self, state: State) -> Iterator[Step[State]]:
        gateway = state.gateway
        if not gateway.subscribed:
            # The old connection's rest goes with it.
            fresh = gateway._replace(subscribed=True, confirmed=True, on_the_way=())
            state = self._reach(state._replace(gateway=fresh))
            yield Step("subscribe", state, owed=True)
        if gateway.on_the_way:
            note, *rest = gateway.on_the_way
            heard = hear(gateway._replace(on_the_way=tuple(rest)), note, self._rules)
            yield Step("hear", state._replace(gateway=heard), owed=True)

    def _reads_head(self, state: State) -> Iterator[Step[State]]:
        gateway = state.gateway
        if gateway.head is not None:
            return
        if gateway.log is None:
            if not gateway.confirmed and Rule.CONFIRMED in self._rules:
                return
        elif gateway.enters or Rule.HEAD_CHECK not in self._rules:
            return  # while the room enters an epoch, a head tells it nothing new
        state = self._with_epoch(state)
        head = _head(state.data)
        if gateway.log is None or head[:2] > (gateway.log.epoch, gateway.log.heard):
            yield Step("read head", _with(state, head=head), owed=True)

    def _takes_head(self, state: State) -> Iterator[Step[State]]:
        gateway = state.gateway
        if gateway.head is None:
            return
        head, gateway = gateway.head, gateway._replace(head=None)
        if gateway.log is None:
            log = log_states.opened(head.epoch, head.sequence)
            opened = gateway._replace(log=log, outbox_id=head.outbox_id)
            opened = hear_early(see(opened, head.epoch, head.outbox_id), self._rules)
            yield Step("open room", state._replace(gateway=opened), owed=True)
            return
        if Rule.FENCE in self._rules and is_doubtful(gateway, state.data):
            # Looked for before anything newer counts as seen.
            state = self._check(state._replace(gateway=gateway))
            gateway = state.gateway
        comes = any(note.sequence >= head.sequence for note in gateway.on_the_way)
        known = gateway.log
        news = known and head.epoch == known.epoch and head.sequence > known.heard
        label = HEAD_CHECK_FOUND if news and not comes else "compare head"
        gateway = hear_head(see(gateway, head.epoch, head.outbox_id), head)
        yield Step(label, state._replace(gateway=gateway), owed=True)

    # Epochs and gaps

    def _enters(self, state: State, log: LogState) -> Iterator[Step[State]]:
        gateway = state.gateway
        if gateway.history is not None:
            entered = enter(
                gateway._replace(history=None, enters=False), log, gateway.history, self._rules
            )
            yield Step("enter epoch", state._replace(gateway=entered), owed=True)
        elif gateway.enters:
            state = self._with_epoch(state)  # the check of each second sees to it
            if (state.data.epoch or 0) > log.epoch:
                yield Step("read past", _with(state, history=_history(state.data)), owed=True)

    def _repairs(self, state: State, log: LogState) -> Iterator[Step[State]]:
        gateway = state.gateway
        if gateway.repair is not None:
            sequences, frames = gateway.repair
            filled = gateway._replace(log=log_states.filled(log, sequences, frames), repair=None)
            yield Step("fill gap", state._replace(gateway=filled), owed=True)
        elif Rule.REPAIR in self._rules and (gap := log_states.missing(log)):
            state = self._reach(state)
            repair = Repair(gap, _read(state.data, gap))
            yield Step("read gap", _with(state, repair=repair), owed=True)

    # The client's stream

    def _joins(self, state: State, log: LogState) -> Iterator[Step[State]]:
        gateway = state.gateway
        if gateway.reader is not None:
            return
        if gateway.start is None:
            state = self._with_epoch(state)
            if Rule.FENCE in self._rules and _head(state.data)[:2] < (log.epoch, log.newest):
                # A head that is read later is of before what the room has shown.
                state = self._check(
                    state._replace(gateway=suspect(gateway, log.epoch, gateway.outbox_id))
                )
            history = _history(state.data)
            if history.head.epoch == log.epoch:
                yield Step("read start", _with(state, start=history), owed=True)
            elif history.head.epoch > log.epoch and not gateway.enters:
                waits = see(state.gateway._replace(enters=True), history.head.epoch)
                yield Step("wait for the room", state._replace(gateway=waits), owed=True)
        elif Rule.SAME_EPOCH in self._rules and gateway.start.head.epoch != log.epoch:
            yield Step("read start again", _with(state, start=None), owed=True)
        else:
            yield Step("join", self._begin(state, gateway.start), owed=True)

    def _begin(self, state: State, history: EpochHistory) -> State:
        client = state.client
        try:
            start = self._start(client.place, history)
        except InvalidRequestError:
            return state._replace(client=client._replace(refused=True))
        to_tell = start.next_sequence if start.broken else None
        reader = Reader(start.next_sequence, history.head.sequence, to_tell)
        return _with(state, reader=reader, start=None)

    def _start(self, place: Position | None, history: EpochHistory) -> Start:
        if place is not None and Rule.CURSOR_EPOCHS not in self._rules:
            return Start(place.sequence + 1, resumes=True)
        return resolved_start(place, history.head, tuple(history.ends))

    def _delivers(self, state: State, log: LogState) -> Iterator[Step[State]]:
        gateway, reader = state.gateway, state.gateway.reader
        if reader is None:
            return
        if reader.to_tell is not None:
            client = told(state.client, self._reads, Position(log.epoch, reader.to_tell - 1))
            knows = reader._replace(next_sequence=reader.to_tell, to_tell=None)
            yield Step("tell", _with(state, reader=knows)._replace(client=client), owed=True)
        elif reader.next_sequence > log.newest:
            yield from _says_caught_up(state, log, reader)
        elif run := log_states.run_from(log, reader.next_sequence):
            client = shown(state.client, self._reads, run.body)
            there = reader._replace(next_sequence=run.next_sequence)
            yield Step("deliver", _with(state, reader=there)._replace(client=client), owed=True)
        else:
            state = self._reach(state)
            after = reader.next_sequence - 1
            sequences = SequenceRange(after, min(log.oldest - 1, after + RING_NOTES))
            frames = _read(state.data, sequences)
            client = shown(state.client, self._reads, b"".join(frame for _, frame in frames))
            there = reader._replace(next_sequence=sequences.through + 1)
            gateway = state.gateway._replace(
                log=log_states.extended_back(log, sequences, frames), reader=there
            )
            yield Step(
                "deliver from the past", state._replace(gateway=gateway, client=client), owed=True
            )


def _says_caught_up(state: State, log: LogState, reader: Reader) -> Iterator[Step[State]]:
    if reader.caught_up_at is None or reader.next_sequence <= reader.caught_up_at:
        return
    reached = Position(log.epoch, reader.next_sequence - 1)
    client = state.client._replace(place=max(reached, state.client.place or reached))
    done = reader._replace(caught_up_at=None)
    yield Step("say caught up", _with(state, reader=done)._replace(client=client), owed=True)


def _read(data: Data, sequences: SequenceRange) -> Frames:
    notes = [entry.note for entry in data.outbox]
    return tuple(
        (note.sequence, frame(note))
        for note in notes
        if sequences.after < note.sequence <= sequences.through
    )


def _head(data: Data) -> Head:
    newest = data.outbox[-1].outbox_id if data.outbox else BEGIN
    sequence = redis_rules.stands_at(data)
    return Head(data.epoch or 0, sequence, newest, is_floor=not data.head)


def _history(data: Data) -> EpochHistory:
    return EpochHistory(_head(data), redis_rules.told_ends(data))


def _with(state: State, **changes: object) -> State:
    return state._replace(gateway=state.gateway._replace(**changes))  # type: ignore[arg-type]


def _written(state: State, data: Data) -> State:
    if data == state.data:
        return state
    return state._replace(data=data, older=(*state.older, state.data)[-FORGOTTEN_WRITES:])
