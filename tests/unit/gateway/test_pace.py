"""How rounds of delivery are spaced: by how long they take, on a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.pace import Pace, wait_after

SECONDS = st.floats(0, 10)
ROUNDS = st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=20)
"""Of each: how long it takes, and how long after the end of the one before there is news."""

ROUNDING = 1e-9


@given(SECONDS)
def test_no_round_makes_the_next_wait_for_more_than_50_ms(round_seconds: float) -> None:
    assert 0 <= wait_after(round_seconds) <= 0.050


@given(st.floats(0, 0.010))
def test_the_wait_is_10_ms_at_most_while_rounds_take_no_longer_themselves(
    round_seconds: float,
) -> None:
    assert wait_after(round_seconds) <= 0.010


@given(st.floats(0, 0.050))
def test_rounds_take_no_more_than_half_of_the_time(round_seconds: float) -> None:
    assert wait_after(round_seconds) >= round_seconds


@given(SECONDS, SECONDS)
def test_the_wait_grows_with_the_round(one: float, other: float) -> None:
    shorter, longer = sorted((one, other))
    assert wait_after(shorter) <= wait_after(longer)


@pytest.mark.parametrize(
    ("round_ms", "wait_ms"), [(0, 0), (0.1, 0.9), (1, 9), (2, 8), (10, 10), (30, 30), (80, 50)]
)
def test_a_round_of_so_many_ms_makes_the_next_wait_for_so_many(
    round_ms: float, wait_ms: float
) -> None:
    assert wait_after(round_ms / 1_000) == pytest.approx(wait_ms / 1_000)


@given(ROUNDS)
def test_whoever_waits_as_told_leaves_the_half_of_the_time_and_who_comes_late_does_not_wait(
    rounds: list[tuple[float, float]],
) -> None:
    pace, now = Pace(), 1_000.0
    assert pace.wait(now) == 0
    for round_seconds, quiet_seconds in rounds:
        began_at, now = now, now + round_seconds
        pace.round_ended(began_at, now)
        least = min(round_seconds, 0.050)
        now += quiet_seconds
        wait = pace.wait(now)
        assert quiet_seconds + wait >= least - ROUNDING
        if quiet_seconds >= 0.050 + ROUNDING:
            assert wait == 0
        now += wait
        assert pace.wait(now) <= ROUNDING
