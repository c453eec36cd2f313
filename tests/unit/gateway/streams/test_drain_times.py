"""When a gateway that ends does what: pure arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.settings import GatewaySettings
from chat_gateway.streams.drain_times import DrainTimes

SECONDS = st.floats(0, 1_000)
ROUNDING = 1e-9


@given(grace=SECONDS, notice=SECONDS, spread=SECONDS)
def test_the_phases_come_in_order_and_all_within_the_grace(
    grace: float, notice: float, spread: float
) -> None:
    times = DrainTimes.within(grace, notice, spread)
    assert 0 <= times.refuse_at <= times.told_by <= times.farewell_at + ROUNDING
    assert times.farewell_at <= times.grace_seconds == grace


def test_a_drain_takes_the_time_that_it_was_given_where_the_grace_has_it() -> None:
    assert DrainTimes.within(10, 2, 3)[:2] == (2, 5)


def test_notice_and_spread_are_shortened_alike_where_the_grace_is_too_short() -> None:
    times = DrainTimes.within(1, 2, 3)
    assert times.told_by == pytest.approx(times.farewell_at)
    assert times.refuse_at == pytest.approx(times.told_by * 2 / 5)


def test_the_defaults_fit_and_end_well_within_ten_seconds() -> None:
    settings = GatewaySettings()
    times = settings.drain_times()
    assert times.refuse_at == settings.drain_notice_seconds
    assert times.told_by == settings.drain_notice_seconds + settings.drain_spread_seconds
    assert times.grace_seconds <= 7


@pytest.mark.parametrize("streams", [1, 3, 500, 10_000])
def test_streams_are_sent_away_evenly_over_the_spread(streams: int) -> None:
    times = DrainTimes.within(10, 2, 3)
    told = 0
    for tick in range(61):
        elapsed = 2 + tick * 0.05
        told += times.due(elapsed, told, streams - told)
        assert abs(told - streams * tick / 60) <= 1
    assert told == streams


def test_a_stream_of_the_middle_is_sent_away_with_the_others_and_a_late_one_at_once() -> None:
    times = DrainTimes.within(10, 2, 3)
    assert times.due(3.5, told=50, untold=50) == 0
    assert times.due(3.5, told=50, untold=150) == 50
    assert times.due(7, told=200, untold=3) == 3


def test_without_a_spread_all_are_sent_away_at_once() -> None:
    assert DrainTimes.within(10, 2, 0).due(2, told=0, untold=500) == 500


def test_without_a_grace_nothing_waits() -> None:
    assert DrainTimes.within(0, 2, 3) == (0, 0, 0, 0)
