"""The walk itself can find what it is there to find."""

from collections.abc import Iterator

from tests.model.explore import Kind, Step, Violation, explore


class Counting:
    """Counts up to three; from three on it may go in a circle."""

    def __init__(self, *, circles: bool = False, worst: int = 9, owed: bool = True) -> None:
        self._circles = circles
        self._worst = worst
        self._owed = owed

    def first(self) -> int:
        return 0

    def steps(self, state: int) -> Iterator[Step[int]]:
        if state < 3:
            yield Step("up", state + 1, owed=self._owed)
        elif self._circles:
            yield Step("down", state - 1, owed=self._owed)

    def judge(self, state: int, *, settled: bool) -> Violation | None:
        return Violation(Kind.LOST, str(state)) if settled and state == self._worst else None


def test_only_states_without_an_owed_step_are_judged_as_settled() -> None:
    assert explore(Counting(worst=2)).violation is None
    assert explore(Counting(worst=3)).violation == Violation(Kind.LOST, "3")
    assert explore(Counting(worst=2, owed=False)).violation == Violation(Kind.LOST, "2")


def test_a_violation_comes_with_a_shortest_way_to_it() -> None:
    outcome = explore(Counting(worst=3))
    assert outcome.trace == ("up", "up", "up")
    assert (outcome.states, outcome.settled) == (4, 1)


def test_owed_steps_that_go_in_a_circle_are_found() -> None:
    outcome = explore(Counting(circles=True))
    assert outcome.violation is not None
    assert outcome.violation.kind is Kind.ENDLESS
    assert explore(Counting(circles=True, owed=False)).violation is None
