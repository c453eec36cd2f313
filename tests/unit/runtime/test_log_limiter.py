"""However often something happens, the log says it a few times, and how often it did not."""

import asyncio
import json
from typing import Any

import pytest
import structlog

from notecast_runtime.log_limiter import Admission, LogLimiter, News
from notecast_runtime.logs import FloodGate
from tests.support.waiting import eventually


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_one_line_a_period_that_counts_the_others() -> None:
    clock = Clock()
    limiter = LogLimiter(burst_lines=3, period_seconds=10, clock=clock)
    assert [limiter.admit("flood").passes for _ in range(50)] == [True] * 3 + [False] * 47
    clock.now = 9.9
    assert not limiter.admit("flood").passes
    clock.now = 10.0
    assert limiter.admit("flood") == Admission(passes=True, suppressed=48)
    assert not limiter.admit("flood").passes


def test_a_flood_of_one_event_costs_another_nothing() -> None:
    limiter = LogLimiter(burst_lines=1, clock=Clock())
    for _ in range(100):
        limiter.admit("flood")
    assert limiter.admit("another").passes


def test_a_burst_comes_back_with_time_and_never_more_than_one() -> None:
    clock = Clock()
    limiter = LogLimiter(burst_lines=3, period_seconds=10, clock=clock)
    for _ in range(4):
        limiter.admit("flood")
    clock.now = 1e6
    assert [limiter.admit("flood").passes for _ in range(4)] == [True, True, True, False]


def test_the_rate_is_a_few_lines_a_minute_whatever_happens() -> None:
    clock = Clock()
    limiter = LogLimiter(clock=clock)
    passed = 0
    for tick in range(60_000):
        clock.now = tick / 1_000
        passed += limiter.admit("flood").passes
    assert passed <= 20


class Written:
    """Takes lines as a structlog logger does."""

    def __init__(self, period_seconds: float) -> None:
        self.lines: list[dict[str, Any]] = []
        rendering = [structlog.processors.JSONRenderer()]
        gate = FloodGate(LogLimiter(2, period_seconds), rendering)
        self.log = structlog.wrap_logger(self, processors=[gate, *rendering])

    def msg(self, line: str) -> None:
        self.lines.append(json.loads(line))

    error = info = msg


async def test_the_newest_line_that_was_kept_back_is_written_when_the_period_is_over() -> None:
    written = Written(period_seconds=0.1)
    for number in range(6):
        written.log.info("flood", number=number)
    assert [line["number"] for line in written.lines] == [0, 1]
    await eventually(lambda: len(written.lines) == 3, "the newest")
    assert written.lines[-1] == {"event": "flood", "number": 5, "suppressed": 3}
    await asyncio.sleep(0)
    assert len(written.lines) == 3


def test_outside_of_a_loop_the_count_is_told_with_the_next_line() -> None:
    written = Written(period_seconds=1e-6)
    written.log.info("flood")
    assert [line["event"] for line in written.lines] == ["flood"]


async def test_an_exception_that_is_kept_back_is_named_without_its_stack() -> None:
    written = Written(period_seconds=0.1)
    for number in range(4):
        try:
            raise RuntimeError(f"fault {number}")  # noqa: TRY301 - what is logged
        except RuntimeError:
            written.log.error("flood", exc_info=number > 1)
    await eventually(lambda: len(written.lines) == 3, "the newest")
    assert written.lines[-1]["error"] == "RuntimeError('fault 3')"
    assert "exc_info" not in written.lines[-1]


@pytest.mark.parametrize("name", ["a", "b"])
def test_nothing_was_suppressed_of_what_was_never_logged(name: str) -> None:
    assert LogLimiter().tell_suppressed(name) == 0


def test_the_same_is_new_once_and_again_when_something_else_came_or_it_was_over() -> None:
    news = News()
    assert [news.is_new(what) for what in ("away", "away", "full", "away")] == [
        True,
        False,
        True,
        True,
    ]
    news.forget()
    assert news.is_new("away")


def test_all_parts_of_it_have_to_be_the_same() -> None:
    news = News()
    assert news.is_new("redis_away", "no answer")
    assert news.is_new("redis_refuses", "no answer")
