"""Walks every state that a model can reach, and judges the ones in which nothing is left to do.

A model names its first state and, of each state, the steps that lead on. A step is *owed* if
the system takes it sooner or later by itself (deliver a message, write a batch); the others may
come or not (a send, a fault). A state without an owed step is *settled*.

Since the owed steps are among all steps, "from every reachable state the faults stop and the
rest runs to its end" leads to settled states that the walk reaches anyway. So it is enough to
judge each settled state, and to show that owed steps never go in a circle: then every such run
has an end.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Generic, NamedTuple, Protocol, TypeVar

StateT = TypeVar("StateT")

_PROGRESS_STATES = 10_000


class Kind(StrEnum):
    """How a promise can be broken."""

    LOST = "lost"
    """A note that Redis remembers does not come where it should."""

    REPEATED = "repeated"
    """A note comes twice, or is in the log twice."""

    UNTOLD = "untold"
    """A reader was shown what the log does not hold, and was not told so."""

    STRANGER = "stranger"
    """A room's stream holds a note that was not accepted, or that Redis forgot."""

    RETURNED = "returned"
    """A note that retention removed is back."""

    WRONG_ANSWER = "wrong answer"
    """A sender was told a place at which its note is not."""

    REFUSED = "refused"
    """A cursor that a client was given is refused."""

    ENDLESS = "endless"
    """The system goes in a circle and never settles."""


class Violation(NamedTuple):
    """A broken promise."""

    kind: Kind
    text: str


class Step(NamedTuple, Generic[StateT]):
    """One way on from a state."""

    label: str
    state: StateT
    owed: bool = False


class Model(Protocol[StateT]):
    """What can be walked. States are immutable and hashable."""

    def first(self) -> StateT:
        """The state in which everything begins."""

    def steps(self, state: StateT) -> Iterable[Step[StateT]]:
        """All steps from a state; one that changes nothing is ignored."""

    def judge(self, state: StateT, *, settled: bool) -> Violation | None:
        """What is wrong in a state."""


class Outcome(NamedTuple):
    """What a walk found."""

    states: int
    settled: int
    steps: Counter[str]
    """How often each label was a step, wherever it led."""

    violation: Violation | None
    trace: tuple[str, ...]
    """The labels of a shortest way to the violation."""

    def __str__(self) -> str:
        found = f"{self.states} states, {self.settled} of them settled"
        if self.violation is None:
            return f"{found}: holds"
        way = " > ".join(self.trace)
        return f"{found}: {self.violation.kind} ({self.violation.text}) after {way}"


OnProgress = Callable[[int], None]


class _Walk(Generic[StateT]):
    """The states found so far, each with the step that first led there."""

    def __init__(self, model: Model[StateT], on_progress: OnProgress | None) -> None:
        self._model = model
        self._on_progress = on_progress
        first = model.first()
        self._numbers: dict[StateT, int] = {first: 0}
        self._todo = deque([first])
        self._origins: list[tuple[int, str]] = [(0, "")]
        self._owed: list[tuple[int, ...]] = []
        self._settled = 0
        self._labels: Counter[str] = Counter()

    def run(self) -> Outcome:
        number = 0
        while self._todo:
            state = self._todo.popleft()
            violation = self._visit(number, state)
            if violation is not None:
                return self._outcome(violation, number)
            number += 1
            if self._on_progress is not None and number % _PROGRESS_STATES == 0:
                self._on_progress(number)
        circling = _in_circle(self._owed)
        if circling is not None:
            return self._outcome(Violation(Kind.ENDLESS, "owed steps lead back"), circling)
        return self._outcome(None, 0)

    def _visit(self, number: int, state: StateT) -> Violation | None:
        owed: list[int] = []
        for label, reached, is_owed in self._model.steps(state):
            if reached == state:
                continue
            self._labels[label] += 1
            found = self._numbers.setdefault(reached, len(self._numbers))
            if found == len(self._origins):
                self._origins.append((number, label))
                self._todo.append(reached)
            if is_owed:
                owed.append(found)
        self._owed.append(tuple(owed))
        self._settled += not owed
        return self._model.judge(state, settled=not owed)

    def _outcome(self, violation: Violation | None, number: int) -> Outcome:
        trace: list[str] = []
        while number:
            number, label = self._origins[number]
            trace.append(label)
        return Outcome(
            len(self._owed), self._settled, self._labels, violation, tuple(reversed(trace))
        )


def explore(model: Model[StateT], on_progress: OnProgress | None = None) -> Outcome:
    """Walks a model breadth first, to its end or to the first violation.

    Args:
        model: with a finite number of states.
        on_progress: told the number of states from time to time.
    """
    return _Walk(model, on_progress).run()


def _in_circle(edges: list[tuple[int, ...]]) -> int | None:
    """A node on a circle; None if there is none (Kahn, 1962)."""
    entering = [0] * len(edges)
    for targets in edges:
        for target in targets:
            entering[target] += 1
    free = [node for node, count in enumerate(entering) if not count]
    for node in free:
        for target in edges[node]:
            entering[target] -= 1
            if not entering[target]:
                free.append(target)
    if len(free) == len(edges):
        return None
    # What remains lies on a circle or behind one: against the edges, every way leads to one.
    remaining = {node for node, count in enumerate(entering) if count}
    origins = {target: node for node in remaining for target in edges[node] if target in remaining}
    node, passed = next(iter(remaining)), set[int]()
    while node not in passed:
        passed.add(node)
        node = origins[node]
    return node
