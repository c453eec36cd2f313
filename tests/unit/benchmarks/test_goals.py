import pytest

from benchmarks.cases import GRPCIO, HUB, WIRE, named
from benchmarks.figures import Figures, Results, figures_of
from benchmarks.goals import GOALS, Goal
from benchmarks.load_program import Spread, Usage
from tests.unit.benchmarks.reports import report


def goal(name: str) -> Goal:
    (found,) = [each for each in GOALS if each.name == name]
    return found


def figures(case: str, server: str, per_cpu_second: float, p99: float = 1.0) -> Figures:
    (chosen,) = named(case)
    used = {"first": Usage(200 / per_cpu_second, (0, 20_480))}
    return figures_of(chosen, server, [report(processes=used, delay=Spread(0, p99, 0))])


def results(*all_figures: Figures) -> Results:
    return {(each.case, each.server): each for each in all_figures}


def test_a_ratio_is_that_of_deliveries_for_a_cpu_second() -> None:
    found = results(figures("hot-room", WIRE, 900), figures("hot-room", HUB, 300))
    hot = goal("hot-room: wire, times the hub")
    value = hot.measure(found)
    assert value == pytest.approx(3)
    assert hot.reached_by(3.0)
    assert not hot.reached_by(2.99)


def test_our_delay_is_compared_with_the_hubs() -> None:
    found = results(figures("small-rooms", WIRE, 1, p99=22), figures("small-rooms", HUB, 1, p99=4))
    delay = goal("small-rooms: p99 delay, above the hub's")
    assert delay.measure(found) == pytest.approx(18)
    assert not delay.reached_by(18)
    assert delay.reached_by(15)


def test_cost_is_the_inverse_of_deliveries_for_a_cpu_second() -> None:
    found = results(figures("rooms-10", WIRE, 120), figures("rooms-10000", WIRE, 100))
    cost = goal("cost per delivery in 10,000 rooms, times that in 10")
    assert cost.measure(found) == pytest.approx(1.2)
    assert not cost.reached_by(1.2)


def test_memory_is_that_of_an_idle_stream() -> None:
    memory = goal("idle-shared: memory per stream")
    value = memory.measure(results(figures("idle-shared", WIRE, 1)))
    assert value == pytest.approx(2.0)  # 20 KiB more with ten more streams
    assert memory.reached_by(2.0)


def test_what_was_not_measured_on_both_sides_is_neither_reached_nor_missed() -> None:
    alone = results(figures("hot-room", WIRE, 900))
    assert all(each.measure(alone) is None for each in GOALS)
    assert all(each.measure({}) is None for each in GOALS)


def test_the_transports_are_compared_in_the_hot_room() -> None:
    found = results(figures("hot-room", WIRE, 900), figures("hot-room", GRPCIO, 90))
    assert goal("hot-room: wire, times grpcio").measure(found) == pytest.approx(10)
