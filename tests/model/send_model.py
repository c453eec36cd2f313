"""A sender that retries: requests and answers get lost, come late, and go through two gateways.

The rules are those of `accept.lua` with its window of ids. Judged: of each id at most one note is
in the log; what a sender was told is where its note stands, unless Redis forgot it; another note
under the same id is refused.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple, TypeVar

from chat_gateway.log.epochs import surviving_sequence
from notecast_runtime.outbox import OutboxId
from tests.model import redis_rules
from tests.model.explore import Kind, Step, Violation
from tests.model.redis_rules import Answer, Data, Note, SeenId

T = TypeVar("T")

SENDS = (("a", "one"), ("b", "two"), ("a", "other"))
"""Id and content; the third takes the first one's id for another note."""

TRIES = 2
"""How often each is sent; the second goes to the other gateway."""

GATEWAYS = 2
RESTARTS = 1
FORGOTTEN_WRITES = 2
REMEMBERED_EPOCHS = 2


class Rule(StrEnum):
    """What keeps the promise. A walk without one shows what it is for."""

    WINDOW = "an id that was seen gets the first answer"
    SHARED = "the ids are kept in Redis, not in a gateway"
    ONE_STEP = "the id is written in the same script as the note"
    CONTENT = "the content is compared too"
    OUTLASTS = "the window outlasts the retries"


class Request(NamedTuple):
    """A send on its way: it may reach Redis late, long after its sender gave up waiting."""

    send: int
    gateway: int


class Half(NamedTuple):
    """What a gateway has yet to write where note and id are two steps."""

    request: Request
    answer: Answer


class State(NamedTuple):
    """One moment."""

    data: Data
    older: tuple[Data, ...] = ()
    run: int = 0
    clock: int = 1
    accepted: int = 0
    tries: tuple[int, ...] = (0,) * len(SENDS)
    on_the_way: tuple[Request, ...] = ()
    halves: tuple[Half, ...] = ()
    told: tuple[tuple[int, Answer], ...] = ()
    """Each send that was answered, and how, where it was accepted."""

    gateway_ids: tuple[tuple[SeenId, ...], ...] = ((),) * GATEWAYS
    closed: bool = False
    """The window of all ids is over."""


class SendModel:
    """The walk's model.

    Args:
        rules: those in force.
    """

    def __init__(self, rules: frozenset[Rule]) -> None:
        self._rules = rules

    def first(self) -> State:
        """Nothing sent."""
        return State(Data(run=0, epoch=1))

    def steps(self, state: State) -> Iterator[Step[State]]:
        """Sends, retries and faults may come; a request that is on its way is carried out."""
        yield from self._sends(state)
        for request in dict.fromkeys(state.on_the_way):
            yield from self._carries_out(state, request)
        for half in state.halves:
            yield from _completes(state, half)
        yield from _restarts(state)
        if not state.closed and self._may_close(state):
            closed = state.data._replace(seen=())
            empty: tuple[tuple[SeenId, ...], ...] = ((),) * GATEWAYS
            yield Step(
                "the window ends", state._replace(data=closed, gateway_ids=empty, closed=True)
            )

    def judge(self, state: State, *, settled: bool) -> Violation | None:  # noqa: ARG002
        """Looks for notes that are there twice, and for answers that are wrong."""
        log = [entry.note for entry in state.data.outbox]
        ids = [_id_of(note) for note in log]
        if len(set(ids)) < len(ids):
            return Violation(Kind.REPEATED, f"the log holds {log}")
        if state.data.run != state.run:
            return None  # nobody has met this Redis yet: what it lost is about to be found out
        for send, answer in state.told:
            if not _survived(answer, state.data):
                continue
            if Note(answer.epoch, answer.sequence, SENDS[send][1]) not in log:
                return Violation(Kind.WRONG_ANSWER, f"{SENDS[send]} was told {answer}: {log}")
        return None

    def _may_close(self, state: State) -> bool:
        over = all(tries in (0, TRIES) for tries in state.tries) and not state.on_the_way
        return over or Rule.OUTLASTS not in self._rules

    def _sends(self, state: State) -> Iterator[Step[State]]:
        for send, tries in enumerate(state.tries):
            if tries < TRIES and not (state.closed and Rule.OUTLASTS in self._rules):
                request = Request(send, tries % GATEWAYS)
                yield Step(
                    "retry" if tries else "send",
                    state._replace(
                        tries=_changed(state.tries, send, tries + 1),
                        on_the_way=tuple(sorted((*state.on_the_way, request))),
                    ),
                )

    def _carries_out(self, state: State, request: Request) -> Iterator[Step[State]]:
        waiting = list(state.on_the_way)
        waiting.remove(request)
        state = state._replace(on_the_way=tuple(waiting))
        yield Step("request lost", state)
        state = _connect(state)
        if Rule.ONE_STEP in self._rules:
            done, answer = self._accepts(state, request)
        else:
            done, answer = self._accepts_in_halves(state, request)
        yield Step("accept, answer lost", done)
        if answer is not None:
            done = done._replace(told=tuple(sorted({*done.told, (request.send, answer)})))
        yield Step("accept", done, owed=True)

    def _accepts(self, state: State, request: Request) -> tuple[State, Answer | None]:
        note_id, body = SENDS[request.send]
        seen = self._seen(state, request.gateway)
        if Rule.CONTENT not in self._rules:
            body = next((s.body for s in seen if s.note_id == note_id), body)
        data, answer = redis_rules.accept_once(
            state.data._replace(seen=seen), note_id, body, _next_id(state.data), state.clock
        )
        return self._after(state, data, request.gateway), answer

    def _accepts_in_halves(self, state: State, request: Request) -> tuple[State, Answer | None]:
        """The note now, its id later: whoever asks in between finds no id."""
        done, answer = self._accepts(state, request)
        if answer is None or answer.duplicate:
            return done, answer
        done = done._replace(data=done.data._replace(seen=state.data.seen))
        return done._replace(halves=(*done.halves, Half(request, answer))), answer

    def _seen(self, state: State, gateway: int) -> tuple[SeenId, ...]:
        if Rule.WINDOW not in self._rules:
            return ()
        return state.data.seen if Rule.SHARED in self._rules else state.gateway_ids[gateway]

    def _after(self, state: State, data: Data, gateway: int) -> State:
        """Puts the ids where they are kept."""
        if len(data.outbox) == len(state.data.outbox):
            return state
        if Rule.SHARED not in self._rules:
            kept = _changed(state.gateway_ids, gateway, data.seen)
            state = state._replace(gateway_ids=kept)
            data = data._replace(seen=())
        return _written(state, data)._replace(accepted=state.accepted + 1)


def _completes(state: State, half: Half) -> Iterator[Step[State]]:
    rest = state._replace(halves=tuple(other for other in state.halves if other != half))
    yield Step("gateway dies between note and id", rest)
    note_id, body = SENDS[half.request.send]
    seen = SeenId(note_id, body, half.answer.epoch, half.answer.sequence)
    data = state.data._replace(seen=(*state.data.seen, seen))
    yield Step("write the id", _written(rest, data), owed=True)


def _restarts(state: State) -> Iterator[Step[State]]:
    if state.run == RESTARTS:
        return
    for data in dict.fromkeys((state.data, *state.older)):
        label = "restart" if data == state.data else "restart without the newest writes"
        yield Step(label, state._replace(data=data, older=(), run=state.run + 1))


def _connect(state: State) -> State:
    if state.data.run == state.run:
        return state
    clock = state.clock + 1
    data = redis_rules.guard(state.data, state.run, clock, REMEMBERED_EPOCHS)
    return _written(state, data)._replace(clock=clock)


def _written(state: State, data: Data) -> State:
    return state._replace(data=data, older=(*state.older, state.data)[-FORGOTTEN_WRITES:])


def _survived(answer: Answer, data: Data) -> bool:
    epoch = data.epoch or 0
    survived = surviving_sequence(answer.epoch, answer.sequence, epoch, data.ends)
    return survived == answer.sequence


def _next_id(data: Data) -> OutboxId:
    return OutboxId(len(data.outbox) + 1, 0)


def _id_of(note: Note) -> str:
    return next(note_id for note_id, body in SENDS if body == note.body)


def _changed(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])
