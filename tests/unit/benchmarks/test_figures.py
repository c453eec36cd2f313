from dataclasses import replace

import pytest

from benchmarks.cases import WIRE, Case, Mode
from benchmarks.figures import figures_of
from benchmarks.load_program import Spread
from tests.unit.benchmarks.reports import report

CASE = Case("case", "", (WIRE,), rooms=1, streams=10, connections=1, notes_per_second=10)


def test_deliveries_are_counted_for_the_first_part_and_for_the_whole_system() -> None:
    figures = figures_of(CASE, WIRE, [report()])
    assert figures.per_cpu_second == pytest.approx(200 / 0.5)
    assert figures.per_cpu_second_whole == pytest.approx(200 / 0.8)


def test_rounds_are_pooled_by_what_they_took_not_as_equals() -> None:
    long = report(seconds=6.0, delivered=600)
    figures = figures_of(CASE, WIRE, [report(), long])
    assert figures.delivered_per_second == pytest.approx(100)
    assert figures.per_cpu_second == pytest.approx(800 / 1.0)


def test_delays_are_the_median_of_the_rounds() -> None:
    rounds = [report(delay=Spread(p50, p50 * 10, 0)) for p50 in (1, 2, 90)]
    figures = figures_of(CASE, WIRE, rounds)
    assert (figures.delay_p50_ms, figures.delay_p99_ms) == (2, 20)


def test_a_server_whose_processes_are_not_known_has_no_ratio() -> None:
    figures = figures_of(CASE, "peer", [report(processes={})])
    assert figures.per_cpu_second is None
    assert figures.per_cpu_second_whole is None


def test_notes_that_a_server_never_delivers_though_it_keeps_up_are_lost() -> None:
    figures = figures_of(CASE, WIRE, [report(lost=1, behind=2)])
    assert figures.keeps_up
    assert figures.lost == 3


def test_a_backlog_is_not_a_loss() -> None:
    figures = figures_of(CASE, WIRE, [report(delivered=100, behind=100)])
    assert not figures.keeps_up
    assert (figures.lost, figures.behind) == (0, 100)


def test_memory_of_a_stream_is_what_all_but_the_first_add() -> None:
    idle = replace(CASE, mode=Mode.IDLE)
    assert figures_of(idle, WIRE, [report()]).bytes_per_stream == pytest.approx(1_000)
    assert figures_of(CASE, WIRE, [report()]).bytes_per_stream is None


def test_the_delay_of_a_storm_is_that_until_a_stream_has_caught_up() -> None:
    storm = replace(CASE, mode=Mode.STORM, notes_per_second=0)
    figures = figures_of(storm, WIRE, [report(join=Spread(100, 200, 300))])
    assert (figures.delay_p50_ms, figures.delay_p99_ms) == (100, 200)
    assert figures.keeps_up


def test_what_else_ran_on_the_machine_is_told() -> None:
    busy = report(machine_cpu_seconds=2.3)  # 0.5 of the gateway, 0.3 of Redis, 0.5 of the load
    assert figures_of(CASE, WIRE, [report(), busy]).other_cores == pytest.approx(0.5)
    assert figures_of(CASE, "peer", [report(processes={})]).other_cores is None


def test_the_worst_round_says_whether_the_load_was_the_bottleneck() -> None:
    rounds = [report(), report(load_cpu_seconds=1.9, late=Spread(0, 7, 9))]
    figures = figures_of(CASE, WIRE, rounds)
    assert figures.load_cores == pytest.approx(0.95)
    assert figures.late_p99_ms == 7
