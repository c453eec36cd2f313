"""How rounds of delivery are spaced: by how long they take, on a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.rooms.pace import Pace, Round, are_proxied, batching_interval, wait_after

SECONDS = st.floats(0, 10)
STREAMS = st.integers(0, 1_000_000)

ROUNDS = st.builds(
    lambda seconds, share, streams, proxied: Round(
        seconds, seconds * share, streams, round(streams * proxied)
    ),
    SECONDS,
    st.floats(0, 1),
    STREAMS,
    st.floats(0, 1),
)
QUIET = st.lists(st.tuples(ROUNDS, SECONDS), min_size=1, max_size=20)
"""Rounds, and of each how long after its end there is news."""

ROUNDING = 1e-9


def busy(seconds: float, streams: int) -> Round:
    """A round that had a core all the time."""
    return Round(seconds, seconds, streams)


@given(ROUNDS)
def test_no_round_makes_the_next_wait_for_more_than_50_ms(last: Round) -> None:
    assert 0 <= wait_after(last) <= 0.050


@given(st.floats(0, 0.004))
def test_the_wait_is_8_ms_at_most_while_rounds_take_no_longer_than_half_of_that(
    seconds: float,
) -> None:
    assert wait_after(busy(seconds, streams=300)) <= 0.008


@given(st.floats(0, 0.006), st.integers(300, 1_000_000))
def test_the_wait_is_12_ms_at_most_however_many_streams_there_are(
    seconds: float, streams: int
) -> None:
    assert wait_after(busy(seconds, 300)) <= wait_after(busy(seconds, streams)) <= 0.012


@given(ROUNDS)
def test_rounds_have_two_fifths_of_the_time_at_most_as_long_as_notes_can_wait(
    last: Round,
) -> None:
    assert wait_after(last) >= min(1.5 * last.work_seconds, 0.050)


@given(st.floats(0.008, 10), st.floats(0, 0.008), STREAMS)
def test_a_round_that_had_to_share_the_core_makes_the_next_wait_no_longer(
    seconds: float, work_seconds: float, streams: int
) -> None:
    assert wait_after(Round(seconds, work_seconds, streams)) <= wait_after(
        busy(work_seconds, streams)
    )


@given(ROUNDS)
def test_what_gathers_is_delivered_together_where_rounds_are_short(last: Round) -> None:
    apart = last.seconds + wait_after(last)
    assert apart >= min(batching_interval(last), last.seconds + 0.050) - ROUNDING
    assert batching_interval(last) <= (0.020 if last.proxied_streams else 0.012)


@given(SECONDS, STREAMS)
def test_notes_gather_for_no_shorter_where_a_proxy_carries_them_on(
    seconds: float, streams: int
) -> None:
    own = busy(seconds, streams)
    assert batching_interval(own) <= batching_interval(own._replace(proxied_streams=streams))


def test_a_proxy_gets_messages_for_its_500_streams_every_20_ms_and_clients_every_12() -> None:
    own = busy(0.001, 500)
    assert batching_interval(own) == pytest.approx(0.012)
    assert batching_interval(own._replace(proxied_streams=500)) == pytest.approx(0.020)


@pytest.mark.parametrize(
    ("streams", "connections", "proxied"),
    [(500, 500, False), (500, 20, False), (500, 2, True), (80, 2, True), (79, 2, False)],
)
def test_a_connection_with_many_streams_of_one_room_is_a_proxys(
    *, streams: int, connections: int, proxied: bool
) -> None:
    assert are_proxied(streams, connections) is proxied


@given(SECONDS, SECONDS, STREAMS)
def test_rounds_of_the_same_streams_begin_the_later_the_longer_they_take(
    one: float, other: float, streams: int
) -> None:
    shorter, longer = (busy(seconds, streams) for seconds in sorted((one, other)))
    assert shorter.seconds + wait_after(shorter) <= longer.seconds + wait_after(longer) + ROUNDING


@pytest.mark.parametrize(
    ("round_ms", "work_ms", "streams", "wait_ms"),
    [
        *((0, 0, 0, 0), (0.1, 0.1, 1, 0.9), (1, 1, 1, 7), (2, 2, 1, 6), (10, 10, 1, 15)),
        *((20, 20, 1, 30), (80, 80, 1, 50), (0.1, 0.1, 100, 2.5), (0.1, 0.1, 500, 11.9)),
        *((2, 2, 400, 8.4), (2, 2, 5_000, 10), (10, 10, 500, 15)),
        *((30, 2, 1, 3), (6, 2, 1, 3), (6, 1, 1, 2), (20, 20, 5_000, 30)),
    ],
)
def test_a_round_of_so_many_ms_makes_the_next_wait_for_so_many(
    round_ms: float, work_ms: float, streams: int, wait_ms: float
) -> None:
    last = Round(round_ms / 1_000, work_ms / 1_000, streams)
    assert wait_after(last) == pytest.approx(wait_ms / 1_000)


@given(ROUNDS, SECONDS)
def test_what_waits_for_a_round_has_2_ms_of_company_and_no_more_than_50_in_all(
    last: Round, later: float
) -> None:
    pace = Pace()
    pace.round_ended(last, 1_000.0)
    now = 1_000.0 + later
    wait, with_company = pace.wait(now), pace.wait_for_company(now)
    if wait == 0:
        assert with_company == 0
    else:
        assert wait <= with_company <= wait + 0.002
        assert with_company <= 0.050 + ROUNDING


@given(QUIET)
def test_whoever_waits_as_told_leaves_others_their_time_and_who_comes_late_does_not_wait(
    rounds: list[tuple[Round, float]],
) -> None:
    pace, now = Pace(), 1_000.0
    assert pace.wait(now) == 0
    for last, quiet_seconds in rounds:
        now += last.seconds
        pace.round_ended(last, now)
        least = min(1.5 * last.work_seconds, 0.050)
        now += quiet_seconds
        wait = pace.wait(now)
        assert quiet_seconds + wait >= least - ROUNDING
        if quiet_seconds >= 0.050 + ROUNDING:
            assert wait == 0
        now += wait
        assert pace.wait(now) <= ROUNDING
