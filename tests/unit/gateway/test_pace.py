"""How rounds of delivery are spaced: by how long they take, on a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.pace import Pace, wait_after

SECONDS = st.floats(0, 10)
ROUNDS = st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=20)
"""Of each: how long it takes, and how long after the end of the one before there is news."""

STREAMS = st.integers(0, 1_000_000)

ROUNDING = 1e-9


@given(SECONDS, STREAMS)
def test_no_round_makes_the_next_wait_for_more_than_50_ms(
    round_seconds: float, streams: int
) -> None:
    assert 0 <= wait_after(round_seconds, streams) <= 0.050


@given(st.floats(0, 0.008))
def test_the_wait_is_8_ms_at_most_while_rounds_take_no_longer_themselves(
    round_seconds: float,
) -> None:
    assert wait_after(round_seconds, streams=300) <= 0.008


@given(st.floats(0, 0.010), st.integers(300, 1_000_000))
def test_the_wait_is_13_ms_at_most_however_many_streams_there_are(
    round_seconds: float, streams: int
) -> None:
    assert wait_after(round_seconds, 300) <= wait_after(round_seconds, streams) <= 0.013


@given(st.floats(0, 0.050), STREAMS)
def test_rounds_take_no_more_than_half_of_the_time(round_seconds: float, streams: int) -> None:
    assert wait_after(round_seconds, streams) >= round_seconds


@given(SECONDS, SECONDS, STREAMS)
def test_rounds_of_the_same_streams_begin_the_later_the_longer_they_take(
    one: float, other: float, streams: int
) -> None:
    shorter, longer = sorted((one, other))
    assert shorter + wait_after(shorter, streams) <= longer + wait_after(longer, streams) + ROUNDING


@pytest.mark.parametrize(
    ("round_ms", "streams", "wait_ms"),
    [
        *((0, 0, 0), (0.1, 1, 0.9), (1, 1, 7), (2, 1, 6), (10, 1, 10), (30, 1, 30), (80, 1, 50)),
        *((0.1, 100, 2.5), (0.1, 500, 12.9), (2, 400, 8.4), (2, 5_000, 11), (10, 500, 10)),
    ],
)
def test_a_round_of_so_many_ms_makes_the_next_wait_for_so_many(
    round_ms: float, streams: int, wait_ms: float
) -> None:
    assert wait_after(round_ms / 1_000, streams) == pytest.approx(wait_ms / 1_000)


@given(ROUNDS)
def test_whoever_waits_as_told_leaves_the_half_of_the_time_and_who_comes_late_does_not_wait(
    rounds: list[tuple[float, float]],
) -> None:
    pace, now = Pace(), 1_000.0
    assert pace.wait(now) == 0
    for round_seconds, quiet_seconds in rounds:
        began_at, now = now, now + round_seconds
        pace.round_ended(began_at, now, streams=1)
        least = min(round_seconds, 0.050)
        now += quiet_seconds
        wait = pace.wait(now)
        assert quiet_seconds + wait >= least - ROUNDING
        if quiet_seconds >= 0.050 + ROUNDING:
            assert wait == 0
        now += wait
        assert pace.wait(now) <= ROUNDING
