"""Runs of Redis that take turns at one address."""

from notecast_runtime.redis.runs import RunHistory


def test_restarts_and_failovers_are_no_turns() -> None:
    runs = RunHistory()
    for number in range(100):
        runs.see(f"run {number}", number)
    assert not runs.alternate


def test_some_failbacks_are_none_either() -> None:
    runs = RunHistory()
    for number in range(4):
        runs.see("old", number)
        runs.see("old", number)
        runs.see(f"new {number}", number)
    assert not runs.alternate


def test_a_proxy_that_deals_connections_out_is_told_by_runs_that_come_back() -> None:
    runs = RunHistory()
    for number in range(8):
        runs.see("one", number / 10)
        runs.see("other", number / 10)
    assert runs.alternate
    assert set(runs.known) == {"one", "other"}


def test_once_a_single_one_has_answered_for_a_minute_all_is_well() -> None:
    runs = RunHistory()
    for number in range(8):
        runs.see("one", number / 10)
        runs.see("other", number / 10)
    runs.see("other", 60.9)
    assert not runs.alternate


def test_a_run_that_another_one_answered_before_is_told_once() -> None:
    runs = RunHistory()
    assert [runs.see(run, 0) for run in ("a", "a", "b", "b", "a")] == [
        False,
        False,
        True,
        False,
        True,
    ]
