"""How long a client waits before it tries again."""

from notecast_client.backoff import Backoff


def test_waits_double_up_to_five_seconds_each_between_half_and_all_of_it() -> None:
    backoff = Backoff()
    for whole in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
        assert whole / 2 <= backoff.next_delay() <= whole


def test_the_servers_advice_is_heeded_up_to_a_minute() -> None:
    assert 1.0 < Backoff().next_delay(1.0) <= 1.05
    assert Backoff().next_delay(86_400.0) <= 60.05


def test_only_a_stream_that_lived_begins_the_waits_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.next_delay()
    backoff.stream_ended(0.9)
    assert backoff.next_delay() > 0.05
    backoff.stream_ended(1.1)
    assert backoff.next_delay() <= 0.05


def test_a_planned_wait_is_what_was_asked_for_and_makes_the_next_no_longer() -> None:
    backoff = Backoff()
    assert [backoff.planned_delay(0.2, lived_seconds=30) for _ in range(10)] == [0.2] * 10
    assert backoff.next_delay() <= 0.05


def test_servers_that_send_away_at_once_are_not_asked_at_full_speed() -> None:
    backoff = Backoff()
    delays = [backoff.planned_delay(0, lived_seconds=0.1) for _ in range(10)]
    assert delays[-1] > 1
    assert backoff.planned_delay(1_000_000, lived_seconds=30) == 60
