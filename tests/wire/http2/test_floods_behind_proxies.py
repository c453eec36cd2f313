"""What a client behind a proxy does wrong costs that client, and never the connection of all.

The clock stands still unless a test moves it, so that a burst is a burst on any machine.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count, islice

import pytest

from notecast_wire.fairness.clients import CONNECTION, FORWARDED_FOR, ClientId, Peer, TrustedProxies
from notecast_wire.fairness.shares import ShareRatios
from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.connection import ConnectionLimits
from notecast_wire.http2.events import ConnectionEnded, RequestBegun, StreamEnded
from notecast_wire.http2.header_encoder import encode_headers
from notecast_wire.http2.stream import Stream
from tests.wire.http2.floods import ODD
from tests.wire.http2.raw_client import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    REQUEST,
    SETTINGS,
    STATUS,
    TRAILERS,
    WHOLE,
    Clock,
    Frame,
    RawClient,
    rst_stream,
)

Fields = Sequence[tuple[bytes, bytes]]
LIMITS = ConnectionLimits(
    reset_burst=100, resets_per_second=50, noop_frame_burst=400, max_header_list_bytes=4_000
)
LARGE = b"t" * 4_000
HOSTILE, OTHER, NEIGHBOUR = "192.0.2.66", "198.51.100.1", "192.0.2.66"


class Proxy(RawClient):
    """The connection of a trusted proxy."""

    def __init__(
        self,
        limits: ConnectionLimits = LIMITS,
        budgets: ClientBudgets | None = None,
        host: str = "10.0.0.1",
    ) -> None:
        peer = TrustedProxies.parse("10.0.0.0/8").peer(host, "5")
        super().__init__(limits, peer=peer, budgets=budgets)
        self.ids = iter(ODD)

    def request(
        self,
        address: str,
        connection: str = "1",
        more: Fields = (),
        flags: int = END_HEADERS,
        start: Fields = REQUEST,
    ) -> Frame:
        """The next request of a client, with the client's own fields before the proxy's."""
        named = [(FORWARDED_FOR, address.encode()), (CONNECTION, connection.encode())]
        block = _encoded((*start, *more, *named))
        return Frame(HEADERS, flags, next(self.ids), block)

    def opened(self, address: str, connection: str = "1") -> Stream:
        """A request that is taken."""
        (event,) = self.send(self.request(address, connection))
        assert isinstance(event, RequestBegun)
        return event.stream

    def refused(self, address: str, connection: str = "1") -> bytes:
        """The HTTP status with which a request is refused; nothing where it is taken."""
        self.sent()
        if any(
            isinstance(event, RequestBegun)
            for event in self.send(self.request(address, connection))
        ):
            return b""
        answer = self.sent()[0]
        assert answer.kind == HEADERS
        assert answer.flags == WHOLE
        return dict(self.fields(answer))[b":status"]

    def survives(self, *frames: Frame) -> None:
        """Sends frames that must not end the connection."""
        events = self.send(*frames)
        assert not any(isinstance(event, ConnectionEnded) for event in events), events


@cache
def _encoded(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return encode_headers(fields)


Step = Callable[[Proxy], None]


def rapid_reset(proxy: Proxy) -> None:
    request = proxy.request(HOSTILE)
    proxy.survives(request, rst_stream(request.stream_id))


def rapid_reset_of_a_whole_call(proxy: Proxy) -> None:
    request = proxy.request(HOSTILE, flags=WHOLE)
    proxy.survives(request, rst_stream(request.stream_id))


def headers_over_the_bound(proxy: Proxy) -> None:
    proxy.survives(proxy.request(HOSTILE, more=[(b"x-token", LARGE)], flags=WHOLE))


def unfinished_request_with_headers_over_the_bound(proxy: Proxy) -> None:
    request = proxy.request(HOSTILE, more=[(b"x-token", LARGE)])
    late = [Frame(DATA, 0, request.stream_id, b"a") for _ in range(5)]
    proxy.survives(request, *late, Frame(DATA, END_STREAM, request.stream_id, b"a"))


def malformed_request(proxy: Proxy) -> None:
    proxy.survives(proxy.request(HOSTILE, more=[(b"Upper", b"case")], flags=WHOLE))


def body_unlike_its_length(proxy: Proxy) -> None:
    request = proxy.request(HOSTILE, more=[(b"content-length", b"1")])
    proxy.survives(request, Frame(DATA, END_STREAM, request.stream_id, b"two"))


def body_that_never_comes(proxy: Proxy) -> None:
    proxy.survives(proxy.request(HOSTILE, more=[(b"content-length", b"1")], flags=WHOLE))


def malformed_trailers(proxy: Proxy) -> None:
    request = proxy.request(HOSTILE)
    proxy.survives(request, proxy.headers(request.stream_id, [(b":path", b"/")], WHOLE))


def trailers_over_the_bound(proxy: Proxy) -> None:
    request = proxy.request(HOSTILE)
    large = _encoded(((b"x-token", LARGE),))
    proxy.survives(request, Frame(HEADERS, WHOLE, request.stream_id, large))


def large_headers(proxy: Proxy) -> None:
    for event in proxy.send(
        proxy.request(HOSTILE, more=[(b"x-token", LARGE[:3_000])], flags=WHOLE)
    ):
        assert isinstance(event, RequestBegun)
        proxy.sender.reset(event.stream, ErrorCode.CANCEL)


def empty_data(proxy: Proxy) -> None:
    request = proxy.request(HOSTILE)
    empty = [Frame(DATA, 0, request.stream_id, b"") for _ in range(10)]
    proxy.survives(request, *empty, Frame(DATA, END_STREAM, request.stream_id, b""))


STEPS: list[Step] = [
    rapid_reset,
    rapid_reset_of_a_whole_call,
    headers_over_the_bound,
    unfinished_request_with_headers_over_the_bound,
    malformed_request,
    body_unlike_its_length,
    body_that_never_comes,
    malformed_trailers,
    trailers_over_the_bound,
    empty_data,
    large_headers,
]


@pytest.mark.parametrize("step", STEPS)
def test_a_flood_of_one_client_costs_that_client_and_nobody_else(step: Step) -> None:
    proxy = Proxy()
    streams = [proxy.opened(OTHER, "1"), proxy.opened(HOSTILE, "2")]
    for _ in range(600):
        step(proxy)
        proxy.sender.output.clear()
    assert not any(stream.over for stream in streams)
    assert proxy.refused(HOSTILE, "1") == b"429"
    assert not proxy.refused(OTHER, "1")
    # Another connection of the same address, as of somebody behind the same NAT.
    assert not proxy.refused(NEIGHBOUR, "2")


@pytest.mark.parametrize("step", STEPS)
def test_a_client_is_served_again_once_time_has_filled_its_budget(step: Step) -> None:
    proxy = Proxy()
    for _ in range(600):
        step(proxy)
        proxy.sender.output.clear()
    assert proxy.refused(HOSTILE) == b"429"
    proxy.clock.now += 2 * LIMITS.reset_burst / LIMITS.resets_per_second
    assert not proxy.refused(HOSTILE)


@pytest.mark.parametrize("step", STEPS)
def test_what_comes_slowly_is_no_flood_behind_a_proxy_either(step: Step) -> None:
    proxy = Proxy()
    for _ in range(300):
        step(proxy)
        assert not proxy.refused(HOSTILE)
        for stream in list(proxy.connection.streams.values()):
            proxy.sender.reset(stream, ErrorCode.CANCEL)
        proxy.sender.output.clear()
        proxy.clock.now += 2.0


def test_a_client_has_one_budget_for_all_of_a_servers_proxies() -> None:
    clock = Clock()
    budgets = ClientBudgets(LIMITS, ShareRatios(0.5, 0.25), clock)
    proxies = [Proxy(budgets=budgets, host=f"10.0.0.{number}") for number in range(1, 5)]
    for proxy in proxies:
        for _ in range(101):
            rapid_reset(proxy)
        assert proxy.refused(HOSTILE, "1") == b"429"
    # Two connections' worth is what the address has.
    assert proxies[3].refused(HOSTILE, "unseen so far") == b"429"
    assert not proxies[3].refused(OTHER)


def test_a_client_without_shares_of_its_connections_has_one_budget() -> None:
    budgets = ClientBudgets(LIMITS, ShareRatios(1, 1), Clock())
    proxy = Proxy(budgets=budgets)
    for _ in range(101):
        rapid_reset(proxy)
    assert proxy.refused(HOSTILE, "2") == b"429"


def test_what_a_proxy_asks_itself_is_never_refused() -> None:
    proxy = Proxy()
    for _ in range(1_000):  # of clients whom it does not name
        block = _encoded((*REQUEST, (b"x", LARGE)))
        proxy.survives(Frame(HEADERS, WHOLE, next(proxy.ids), block))
        proxy.sender.output.clear()
    (begun,) = proxy.send(proxy.headers(next(proxy.ids), REQUEST, WHOLE))
    assert isinstance(begun, RequestBegun)


def pings() -> Iterator[Frame]:
    return (Frame(PING, 0, 0, bytes(8)) for _ in count())


def settings() -> Iterator[Frame]:
    return (Frame(SETTINGS, 0, 0, b"") for _ in count())


def unknown_frames() -> Iterator[Frame]:
    return (Frame(0xFE, 0, 0, b"") for _ in count())


def priorities() -> Iterator[Frame]:
    return (Frame(PRIORITY, 0, 1, bytes((0, 0, 0, 3, 0))) for _ in count())


@pytest.mark.parametrize("flood", [pings, settings, unknown_frames, priorities])
def test_what_only_the_proxy_can_do_ends_its_connection(
    flood: Callable[[], Iterator[Frame]],
) -> None:
    proxy = Proxy()
    events = proxy.send(*islice(flood(), 5_000))
    assert isinstance(events[-1], ConnectionEnded)
    assert events[-1].code == ErrorCode.ENHANCE_YOUR_CALM


def test_one_client_leaves_streams_of_the_proxys_connection_to_others() -> None:
    proxy = Proxy(ConnectionLimits(max_concurrent_streams=100))
    for _ in range(25):
        proxy.opened(OTHER, "1")
    opened = [proxy.opened(HOSTILE, "1") for _ in range(25)]
    assert proxy.refused(HOSTILE, "1") == b"429"
    opened += [proxy.opened(HOSTILE, "2") for _ in range(25)]
    assert proxy.refused(HOSTILE, "3") == b"429"
    for _ in range(20):
        proxy.opened(OTHER, "2")
    for stream in opened[:10]:
        proxy.survives(rst_stream(stream.id))
    for _ in range(10):
        assert not proxy.refused(HOSTILE, "1")
    assert proxy.refused(HOSTILE, "1") == b"429"


def test_streams_are_anybodys_while_a_proxys_connection_is_half_empty() -> None:
    """Proxies open another one when one is full by their own bound, and not before."""
    limits = ConnectionLimits(max_concurrent_streams=100)
    proxy = Proxy(limits)
    for _ in range(limits.undivided_streams):
        proxy.opened(HOSTILE, "1")
    assert proxy.refused(HOSTILE, "1") == b"429"
    assert proxy.refused(HOSTILE, "2") == b"429"
    for _ in range(25):
        proxy.opened(OTHER)


def test_streams_that_end_in_any_way_give_their_places_back() -> None:
    proxy = Proxy(ConnectionLimits(max_concurrent_streams=20))
    for _ in range(10):
        proxy.opened(OTHER)
    for _ in range(50):
        answered, cut_off, given_up, faulty, left = [proxy.opened(HOSTILE) for _ in range(5)]
        assert proxy.refused(HOSTILE) == b"429"
        proxy.sender.respond(answered, STATUS, b"", TRAILERS)
        proxy.sender.reset(cut_off, ErrorCode.CANCEL)
        proxy.survives(rst_stream(given_up.id))
        proxy.survives(proxy.headers(faulty.id, [(b":path", b"/")], WHOLE))
        malformed_request(proxy)
        proxy.sender.reset(left, ErrorCode.CANCEL)
    proxy.opened(HOSTILE)
    assert all(isinstance(event, StreamEnded) for event in proxy.connection.close())
    assert proxy.sender.shares is not None
    assert proxy.sender.shares.held == 0


def test_refusals_that_a_proxy_is_slow_to_read_end_nothing() -> None:
    proxy = Proxy()
    proxy.connection.pause()
    for _ in range(5_000):
        headers_over_the_bound(proxy)


def test_a_header_block_of_many_frames_is_refused_on_its_stream() -> None:
    proxy = Proxy(ConnectionLimits())
    other = proxy.opened(OTHER)
    proxy.sent()
    block = proxy.request(HOSTILE, more=[(b"x-token", b"t" * 300_000)]).payload
    cuts = [block[start : start + 16_384] for start in range(0, len(block), 16_384)]
    frames = [Frame(CONTINUATION, 0, 3, piece) for piece in cuts]
    frames[0] = Frame(HEADERS, END_STREAM, 3, cuts[0])
    frames[-1] = Frame(CONTINUATION, END_HEADERS, 3, cuts[-1])
    proxy.survives(*frames)
    (answer,) = proxy.sent()
    assert proxy.fields(answer) == [(b":status", b"431")]
    assert not other.over
    assert not proxy.refused(OTHER)


def test_a_header_block_without_an_end_is_the_proxys_fault() -> None:
    proxy = Proxy()
    frames = [Frame(CONTINUATION, 0, 1, bytes(16_384)) for _ in range(70)]
    assert proxy.fault_of(Frame(HEADERS, 0, 1, b""), *frames) == ErrorCode.ENHANCE_YOUR_CALM


def test_headers_over_the_bound_are_charged_to_whom_the_proxy_names_whatever_is_in_them() -> None:
    proxy = Proxy()
    own_words = [(FORWARDED_FOR, OTHER.encode()), (CONNECTION, b"1")] * 20
    for _ in range(500):
        more = [*own_words, (b"x-token", LARGE), *own_words]
        proxy.survives(proxy.request(HOSTILE, "66", more, WHOLE))
        proxy.sender.output.clear()
    assert proxy.refused(HOSTILE, "66") == b"429"
    assert not proxy.refused(OTHER, "1")


def test_a_request_of_a_client_that_says_who_it_is_itself_is_charged_to_the_one_it_is() -> None:
    proxy = Proxy()
    for _ in range(500):
        own_words = [(FORWARDED_FOR, OTHER.encode() + b", " + OTHER.encode())]
        request = proxy.request(HOSTILE, more=own_words)
        proxy.survives(request, rst_stream(request.stream_id))
    assert proxy.refused(HOSTILE) == b"429"
    assert not proxy.refused(OTHER)


@pytest.mark.parametrize("octets", [3_000, 4_000], ids=["within the bound", "over it"])
def test_trailers_are_charged_to_whom_the_request_is_of_whoever_they_name(octets: int) -> None:
    proxy = Proxy()
    while not proxy.refused(HOSTILE, "66"):
        proxy.survives(proxy.request(HOSTILE, "66", [(b"x-token", LARGE[:3_000])], WHOLE))
    named = ((FORWARDED_FOR, OTHER.encode()), (CONNECTION, b"1"), (b"x-token", LARGE[:octets]))
    for _ in range(500):
        request = proxy.request(HOSTILE, "66")  # is refused by its headers alone
        proxy.survives(request, Frame(HEADERS, WHOLE, request.stream_id, _encoded(named)))
        proxy.sender.output.clear()
    assert not proxy.refused(OTHER, "1")


def test_what_is_remembered_of_clients_is_bounded() -> None:
    budgets = ClientBudgets(LIMITS, ShareRatios(), Clock())
    for number in range(20_000):
        budgets.charge(ClientId(f"10.0.{number >> 8}.{number & 255}", "1"), 1_000)
    assert budgets.accounts <= 4_096
    assert len(budgets._connections.over) <= 4_096
    assert budgets.refusal(ClientId("10.0.78.31", "1"))  # the newest
    assert not budgets.refusal(ClientId("10.0.0.0", "1"))


def test_a_refusal_says_which_budget_is_empty() -> None:
    budgets = ClientBudgets(LIMITS, ShareRatios(), Clock())
    budgets.charge(ClientId("A", "1"), 1_000)
    assert budgets.refusal(ClientId("A", "1")) == (
        "too many resets, faulty requests and large header blocks from this connection: at most"
        " 100 at once and 50 a second"
    )
    assert "from this address: at most 200" in budgets.refusal(ClientId("A", "2"))


def test_connections_that_are_not_known_have_the_budget_of_their_address_together() -> None:
    budgets = ClientBudgets(LIMITS, ShareRatios(), lambda: 0.0)
    untold = ClientId("A", "")
    for _ in range(2):
        assert budgets.charge(untold, LIMITS.reset_burst)
        assert not budgets.refusal(untold)
    budgets.charge(untold, 1)
    assert "from this address" in budgets.refusal(untold)


def test_a_direct_clients_flood_ends_its_connection_as_ever() -> None:
    client = RawClient(LIMITS, peer=Peer(ClientId(HOSTILE, "1")))
    frames = [frame for i in islice(ODD, 200) for frame in (client.headers(i), rst_stream(i))]
    assert isinstance(client.send(*frames)[-1], ConnectionEnded)
