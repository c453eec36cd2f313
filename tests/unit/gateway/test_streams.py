"""Which streams are refused and which are ended, with a clock that the test moves."""

import pytest

from chat_gateway.streams import Streams
from notecast_runtime.errors import TooManyStreamsError

LIMIT_SECONDS = 60.0


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Client:
    """A stream whose client reads when the test says so."""

    def __init__(self) -> None:
        self.waiting_since: float | None = None
        self.cuts: list[float] = []

    def cut(self, waited_seconds: float, limit_seconds: float) -> None:
        assert limit_seconds == LIMIT_SECONDS
        self.cuts.append(waited_seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def streams(clock: Clock) -> Streams:
    return Streams(10, LIMIT_SECONDS, clock)


@pytest.fixture
def client(streams: Streams) -> Client:
    client = Client()
    streams.add(client)
    return client


def test_a_stream_of_which_nothing_gets_out_is_ended_when_the_limit_is_over(
    clock: Clock, streams: Streams, client: Client
) -> None:
    client.waiting_since = clock.seconds
    clock.seconds += LIMIT_SECONDS
    streams.sweep()
    assert not client.cuts
    clock.seconds += 1
    streams.sweep()
    assert client.cuts == [LIMIT_SECONDS + 1]


def test_an_idle_stream_is_never_slow(clock: Clock, streams: Streams, client: Client) -> None:
    for _ in range(10):
        clock.seconds += 10 * LIMIT_SECONDS
        streams.sweep()
    assert not client.cuts


def test_a_client_that_reads_little_but_ever_again_is_not_ended(
    clock: Clock, streams: Streams, client: Client
) -> None:
    for _ in range(10):
        client.waiting_since = clock.seconds
        clock.seconds += LIMIT_SECONDS
        streams.sweep()
    assert not client.cuts


def test_a_stream_that_is_over_is_left_alone(
    clock: Clock, streams: Streams, client: Client
) -> None:
    client.waiting_since = clock.seconds
    streams.discard(client)
    clock.seconds += 2 * LIMIT_SECONDS
    streams.sweep()
    assert not client.cuts


def test_there_are_as_many_places_as_allowed_and_each_is_given_again() -> None:
    streams = Streams(2, LIMIT_SECONDS)
    first, second, third = Client(), Client(), Client()
    streams.add(first)
    streams.add(second)
    with pytest.raises(TooManyStreamsError):
        streams.add(third)
    for _ in range(2):  # to leave twice gives no second place
        streams.discard(first)
    assert len(streams) == 1
    streams.add(third)
    with pytest.raises(TooManyStreamsError):
        streams.add(first)
