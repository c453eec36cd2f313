"""PINGs that come one upon the other are answered together, and none of them late."""

from hypothesis import given
from hypothesis import strategies as st

from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.http2.ping_answers import PingAnswers

LIMITS = ConnectionLimits()
LATEST = LIMITS.pong_spacing_seconds + LIMITS.pong_delay_seconds


@given(st.lists(st.tuples(st.floats(0, 0.4), st.booleans()), min_size=1, max_size=100))
def test_every_ping_is_answered_once_in_order_and_in_time(
    steps: list[tuple[float, bool]],
) -> None:
    answers = PingAnswers(LIMITS)
    now, came, answered = 0.0, dict[bytes, float](), list[bytes]()
    for number, (pause, written) in enumerate(steps):
        then = now + pause
        if answers.kept and now + answers.wait(now) <= then:
            now += max(answers.wait(now), 0)
            answered += _answer(answers, now, came)
        now = then
        if written and answers.kept and answers.may_answer(now, 0):
            answered += _answer(answers, now, came)
        payload = number.to_bytes(8)
        came[payload] = now
        at_once, wait = answers.receive(payload, now, 0)
        assert (payload in at_once) == (not answers.kept)
        assert wait <= LATEST + 1e-6
        answered += at_once
    answered += answers.take(now, 0)
    assert answered == list(came)


def _answer(answers: PingAnswers, now: float, came: dict[bytes, float]) -> list[bytes]:
    answered = answers.take(now, 0)
    assert all(now - came[payload] <= LATEST + 1e-6 for payload in answered)
    return answered


def test_what_was_sent_since_the_last_answer_brings_the_next_one_forward() -> None:
    answers = PingAnswers(LIMITS)
    assert answers.receive(b"1" * 8, 0.0, 0) == ([b"1" * 8], 0.0)
    assert answers.receive(b"2" * 8, 0.0, LIMITS.pong_spacing_bytes - 1) == ([], LATEST)
    assert not answers.may_answer(0.0, LIMITS.pong_spacing_bytes - 1)
    assert answers.may_answer(0.0, LIMITS.pong_spacing_bytes)


def test_no_more_than_so_many_pings_wait() -> None:
    answers = PingAnswers(LIMITS)
    answered = [
        payload
        for number in range(1_000)
        for payload in answers.receive(number.to_bytes(8), 0.0, 0)[0]
    ]
    assert len(answers.kept) <= 16
    assert answered + answers.kept == [number.to_bytes(8) for number in range(1_000)]
