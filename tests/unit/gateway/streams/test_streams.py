"""Which streams are refused and which are ended, with a clock that the test moves."""

import pytest

from chat_gateway.streams.streams import Streams
from notecast_runtime.errors import TooManyStreamsError
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import UNDIVIDED, ShareRatios, Shares

LIMIT_SECONDS = 60.0


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def shares(total: int, ratios: ShareRatios = UNDIVIDED) -> Shares:
    return Shares("streams", total, ratios)


class Client:
    """A stream whose client reads when the test says so."""

    def __init__(self, address: str = "192.0.2.1", connection: str = "1") -> None:
        self.client = ClientId(address, connection)
        self.waiting_since: float | None = None
        self.cuts: list[float] = []
        self.flows = True
        self.sent_away: list[float] = []

    def log_fields(self) -> dict[str, object]:
        return {}

    def end_as_slow(self, waited_seconds: float, limit_seconds: float) -> None:
        assert limit_seconds == LIMIT_SECONDS
        self.cuts.append(waited_seconds)

    def send_away(self, after_seconds: float) -> bool:
        if self.flows:
            self.sent_away.append(after_seconds)
        return self.flows


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def streams(clock: Clock) -> Streams:
    return Streams(shares(10), LIMIT_SECONDS, clock)


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
    streams = Streams(shares(2), LIMIT_SECONDS)
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


LIFETIME_SECONDS = 1_800.0


def test_a_stream_is_sent_away_when_its_lifetime_is_over_by_a_fifth_more_or_less(
    clock: Clock,
) -> None:
    streams = Streams(shares(1_000), LIMIT_SECONDS, clock, LIFETIME_SECONDS)
    clients = [Client() for _ in range(1_000)]
    for client in clients:
        streams.add(client)
    begun, lives = clock.seconds, []
    for _ in range(2_200):
        before = sum(len(client.sent_away) for client in clients)
        clock.seconds += 1
        streams.sweep()
        sent_away = sum(len(client.sent_away) for client in clients) - before
        lives += [clock.seconds - begun] * sent_away
        assert sent_away < 50  # not all at once
    assert len(lives) == 1_000
    assert 0.8 * LIFETIME_SECONDS <= lives[0] < 0.9 * LIFETIME_SECONDS
    assert 1.1 * LIFETIME_SECONDS < lives[-1] <= 1.2 * LIFETIME_SECONDS
    assert all(len(client.sent_away) == 1 for client in clients)


def test_without_a_lifetime_no_stream_is_sent_away(
    clock: Clock, streams: Streams, client: Client
) -> None:
    clock.seconds += 1_000 * LIFETIME_SECONDS
    streams.sweep()
    assert not client.sent_away


def test_streams_are_sent_away_once_each_and_come_back_at_different_moments() -> None:
    streams = Streams(shares(1_000), LIMIT_SECONDS)
    clients = [Client() for _ in range(100)]
    for client in clients:
        streams.add(client)
    streams.send_away(30)
    assert [len(client.sent_away) for client in clients] == [1] * 30 + [0] * 70
    assert streams.staying == 70
    streams.send_away(1_000)
    assert streams.staying == 0
    assert all(len(client.sent_away) == 1 for client in clients)
    moments = {after for client in clients for after in client.sent_away}
    assert len(moments) == 100
    assert 0 <= min(moments) < max(moments) <= 0.5


def test_a_stream_that_does_not_flow_yet_is_sent_away_when_it_does(
    streams: Streams, client: Client
) -> None:
    client.flows = False
    streams.send_away(1)
    assert streams.staying == 1
    client.flows = True
    streams.send_away(1)
    assert len(client.sent_away) == 1
    assert streams.staying == 0


def test_a_stream_that_was_sent_away_keeps_its_place_until_it_is_over(
    streams: Streams, client: Client
) -> None:
    streams.send_away(1)
    assert (len(streams), streams.staying) == (1, 0)
    streams.discard(client)
    assert (len(streams), streams.staying) == (0, 0)


def test_a_client_and_a_connection_of_it_have_a_share_and_others_the_rest() -> None:
    streams = Streams(shares(8, ShareRatios(0.5, 0.25)), LIMIT_SECONDS)
    for connection in "1122":
        streams.add(Client("192.0.2.1", connection))
    for connection, scope, limit in (("1", "connection", 2), ("3", "client", 4)):
        with pytest.raises(TooManyStreamsError) as refused:
            streams.add(Client("192.0.2.1", connection))
        assert refused.value.metadata == {"limit": str(limit), "scope": scope}
    others = [Client("192.0.2.2", connection) for connection in "1122"]
    for other in others:
        streams.add(other)
    with pytest.raises(TooManyStreamsError) as refused:
        streams.add(Client("192.0.2.3"))
    assert refused.value.scope == "total"
    streams.discard(others[0])
    streams.discard(others[0])
    streams.add(Client("192.0.2.3"))
