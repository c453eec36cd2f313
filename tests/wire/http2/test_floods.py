"""What costs us more than the peer that sends it ends the connection; honest peers never get there.

The clock stands still unless a test moves it, so that a burst is a burst on any machine.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from notecast_wire.fairness.clients import ClientId, Peer
from notecast_wire.fairness.shares import ShareRatios
from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.connection import ConnectionLimits
from notecast_wire.http2.events import ConnectionEnded, Event, RequestBegun
from notecast_wire.http2.header_encoder import encode_headers
from tests.wire.http2.floods import BLOCK, FLOODS, ODD, head, pings, rapid_resets
from tests.wire.http2.raw_client import (
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    REQUEST,
    SETTINGS,
    STATUS,
    TRAILERS,
    WHOLE,
    Clock,
    Frame,
    RawClient,
    rst_stream,
    setting,
    window_update,
)


def ended(events: list[Event]) -> bool:
    return bool(events) and isinstance(events[-1], ConnectionEnded)


def sent_until_ended(client: RawClient, flood: Iterator[list[Frame]], most: int) -> int:
    """How many of a flood's steps a connection takes before it ends; `most` where it does not."""
    for number, frames in enumerate(islice(flood, most)):
        events = client.send(*frames)
        client.sender.output.clear()
        if ended(events):
            assert isinstance(events[-1], ConnectionEnded)
            assert events[-1].code == ErrorCode.ENHANCE_YOUR_CALM
            return number
    return most


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_ends_the_connection_within_its_budget(
    flood: Callable[[], Iterator[list[Frame]]],
) -> None:
    # Of 100 each, so that what tells the kinds apart is whether anything is counted at all.
    limits = ConnectionLimits(
        max_concurrent_streams=50,
        reset_burst=100,
        ping_burst=100,
        settings_burst=100,
        noop_frame_burst=100,
    )
    taken = sent_until_ended(RawClient(limits), flood(), 1_000)
    assert 95 <= taken <= 155


@pytest.mark.parametrize("flood", FLOODS)
def test_what_comes_slowly_is_no_flood(flood: Callable[[], Iterator[list[Frame]]]) -> None:
    client = RawClient(
        ConnectionLimits(
            max_concurrent_streams=50,
            reset_burst=100,
            ping_burst=100,
            settings_burst=100,
            noop_frame_burst=100,
            closed_streams_remembered=10_000,
        )
    )
    for frames in islice(flood(), 300):
        assert not ended(client.send(*frames))
        client.sender.output.clear()
        client.clock.now += 1.0


def test_20_000_resets_in_a_burst_end_the_connection() -> None:
    assert sent_until_ended(RawClient(), rapid_resets(), 20_000) < 3_000


def test_20_000_calls_given_up_after_their_answer_began_are_fine_at_any_pace() -> None:
    client = RawClient()
    for stream_id in islice(ODD, 20_000):
        (begun,) = client.send(head(stream_id, WHOLE))
        client.sender.send_headers(begun.stream, STATUS)  # type: ignore[union-attr]
        assert not ended(client.send(rst_stream(stream_id)))
        client.sender.output.clear()


def test_20_000_calls_given_up_unanswered_over_20_seconds_are_fine() -> None:
    client = RawClient()
    for stream_id in islice(ODD, 20_000):
        assert not ended(client.send(head(stream_id, WHOLE), rst_stream(stream_id)))
        client.sender.output.clear()
        client.clock.now += 1 / 1_000


def test_a_thousand_open_calls_may_be_given_up_at_once_time_and_again() -> None:
    client = RawClient()
    ids = iter(ODD)
    for _ in range(20):
        batch = list(islice(ids, 1_000))
        assert not ended(client.send(*(head(i, WHOLE) for i in batch)))
        client.clock.now += 1.0
        assert not ended(client.send(*(rst_stream(i) for i in batch)))
        client.sender.output.clear()


def test_finished_calls_earn_as_many_that_are_given_up() -> None:
    client = RawClient(ConnectionLimits(reset_burst=10))
    ids = iter(ODD)
    for _ in range(1_000):
        (begun,) = client.send(head(next(ids), WHOLE))
        client.sender.respond(begun.stream, STATUS, b"note", TRAILERS)  # type: ignore[union-attr]
        given_up = next(ids)
        assert not ended(client.send(head(given_up, WHOLE), rst_stream(given_up)))
        client.sender.output.clear()


def test_nothing_is_saved_up_beyond_the_burst_and_nothing_earned_twice() -> None:
    client = RawClient(ConnectionLimits(ping_burst=100))
    client.send(Frame(HEADERS, END_HEADERS, 1, BLOCK))
    for stream_id in islice(ODD, 1, 200):
        (begun,) = client.send(head(stream_id, WHOLE))
        client.sender.respond(begun.stream, STATUS, bytes(200), TRAILERS)  # type: ignore[union-attr]
    client.clock.now += 86_400.0
    # What it began with, and what it has earned since, which is no more.
    assert 100 < sent_until_ended(client, pings(), 1_000) <= 201


def test_what_is_earned_is_earned_once() -> None:
    client = RawClient(ConnectionLimits(ping_burst=100, pings_per_second=10))
    assert sent_until_ended(client, pings(), 100) == 100
    (begun,) = client.send(head(1, WHOLE))
    client.sender.respond(begun.stream, STATUS, bytes(640), TRAILERS)  # type: ignore[union-attr]
    client.clock.now += 2.0
    # For a call, for ten times 64 bytes, and for two seconds.
    assert sent_until_ended(client, pings(), 1_000) == 1 + 10 + 20


def test_a_client_that_pings_and_widens_its_windows_with_each_message_is_fine() -> None:
    client = RawClient()
    stream = client.begin(1)
    for _ in range(30_000):
        client.sender.send_data(stream, bytes(64))
        assert not ended(
            client.send(window_update(1, 64), window_update(0, 64), Frame(PING, 0, 0, bytes(8)))
        )
        client.sender.output.clear()


def test_a_header_block_without_an_end_ends_the_connection_by_its_size() -> None:
    client = RawClient()
    piece = Frame(CONTINUATION, 0, 1, bytes(16_384))
    client.send(Frame(HEADERS, 0, 1, BLOCK))
    taken = sent_until_ended(client, iter(lambda: [piece], None), 100)
    assert taken == 3


def test_a_header_block_of_empty_pieces_ends_the_connection_by_their_number() -> None:
    client = RawClient()
    piece = Frame(CONTINUATION, 0, 1, b"")
    client.send(Frame(HEADERS, 0, 1, BLOCK))
    taken = sent_until_ended(client, iter(lambda: [piece], None), 100)
    assert taken == 32


_UNREAD_LIMITS = ConnectionLimits(
    max_unread_replies=50, ping_burst=10_000, pong_spacing_seconds=0.0
)


def test_replies_that_nobody_reads_are_bounded() -> None:
    client = RawClient(_UNREAD_LIMITS)
    client.connection.pause()
    for _ in range(50):
        assert not ended(client.send(Frame(PING, 0, 0, bytes(8))))
    fault = client.fault_of(Frame(PING, 0, 0, bytes(8)))
    assert fault == ErrorCode.ENHANCE_YOUR_CALM


def test_a_client_that_reads_again_may_have_as_many_replies_again() -> None:
    client = RawClient(_UNREAD_LIMITS)
    for _ in range(5):
        client.connection.pause()
        for _ in range(50):
            assert not ended(client.send(Frame(PING, 0, 0, bytes(8))))
        client.connection.resume()


def test_one_settings_frame_full_of_windows_walks_over_the_streams_once() -> None:
    client = RawClient()
    for stream_id in (1, 3):
        client.begin(stream_id)
    values = b"".join(setting(INITIAL_WINDOW_SIZE, size) for size in range(2_700))
    assert not client.send(Frame(SETTINGS, 0, 0, values))
    assert [stream.send_window for stream in client.connection.streams.values()] == [2_699] * 2


def test_waking_many_owners_in_vain_is_paid_for_by_the_peer() -> None:
    client = RawClient(ConnectionLimits(noop_frame_burst=1_000))
    streams = [client.begin(stream_id) for stream_id in islice(ODD, 800)]
    woken = 0
    for _ in range(1_000):
        for stream in streams:
            client.sender.await_writable(stream)
        events = client.send(window_update(0, 1))
        woken += len(events)
        if ended(events):
            break
    assert ended(events)
    assert woken < 1_000 * 10


HEAVY = encode_headers([*REQUEST, (b"x-token", b"t" * 10_000)])
"""Within the bounds, and as much work as ten calls that are given up."""

OVER_THE_BOUND = encode_headers([*REQUEST, (b"x-token", b"t" * 16_200)])


def heavy_client(budgets: ClientBudgets, address: str, connection: str) -> RawClient:
    peer = Peer(ClientId(address, connection))
    return RawClient(ConnectionLimits(reset_burst=1_000), peer=peer, budgets=budgets)


def heavy_requests() -> Iterator[list[Frame]]:
    return ([head(number, WHOLE, HEAVY), rst_stream(number)] for number in ODD)


def test_large_header_blocks_are_paid_for_by_their_client_on_whatever_connection() -> None:
    clock = Clock()
    budgets = ClientBudgets(ConnectionLimits(reset_burst=1_000), ShareRatios(0.5, 0.25), clock)
    taken = [
        sent_until_ended(heavy_client(budgets, "192.0.2.66", str(number)), heavy_requests(), 300)
        for number in range(4)
    ]
    # Two connections' worth is what the address has.
    assert taken[:2] == [pytest.approx(100, abs=5)] * 2
    # A client that comes later has the first ones refused, and goes if it sends more of them.
    assert taken[2:] == [pytest.approx(6, abs=1)] * 2
    other = heavy_client(budgets, "192.0.2.7", "5")
    assert sent_until_ended(other, heavy_requests(), 90) == 90
    clock.now += 10
    assert sent_until_ended(heavy_client(budgets, "192.0.2.66", "6"), heavy_requests(), 300) > 90


def test_a_neighbour_of_one_who_floods_has_its_large_requests_refused_and_nothing_else() -> None:
    budgets = ClientBudgets(ConnectionLimits(reset_burst=1_000), ShareRatios(0.5, 0.25), Clock())
    for number in range(2):
        sent_until_ended(heavy_client(budgets, "192.0.2.66", str(number)), heavy_requests(), 300)
    neighbour = heavy_client(budgets, "192.0.2.66", "7")
    (begun,) = neighbour.send(head(1, END_HEADERS, encode_headers(REQUEST)))
    assert isinstance(begun, RequestBegun)
    neighbour.sent()
    assert neighbour.send(head(3, WHOLE, HEAVY)) == []
    (answer,) = neighbour.sent()
    assert dict(neighbour.fields(answer))[b":status"] == b"429"
    (again,) = neighbour.send(head(5, WHOLE, encode_headers(REQUEST)))
    assert isinstance(again, RequestBegun)


@pytest.mark.parametrize("block", [HEAVY, OVER_THE_BOUND], ids=["within the bound", "over it"])
def test_large_header_blocks_that_come_slowly_are_no_flood(block: bytes) -> None:
    client = RawClient(ConnectionLimits(reset_burst=100))
    for number in islice(ODD, 300):
        assert not ended(client.send(head(number, WHOLE, block), rst_stream(number)))
        client.sender.output.clear()
        client.clock.now += 1.0


def test_small_header_blocks_are_not_paid_for() -> None:
    block = encode_headers([*REQUEST, (b"x-token", b"t" * 800)])
    client = RawClient(ConnectionLimits(reset_burst=10))
    for number in islice(ODD, 1_000):
        (begun,) = client.send(head(number, WHOLE, block))
        assert isinstance(begun, RequestBegun)
        client.sender.respond(begun.stream, STATUS, b"", TRAILERS)
        client.sender.output.clear()


def test_header_lists_over_the_bound_are_paid_for_by_the_octet() -> None:
    def bombs() -> Iterator[list[Frame]]:
        for number in ODD:
            block = BLOCK + b"\x82" * 16_000  # 42 bytes of a list, each
            yield [Frame(HEADERS, END_HEADERS | 1, number, block)]

    # Each is as much work as 60 requests that are given up.
    assert (
        10 <= sent_until_ended(RawClient(ConnectionLimits(reset_burst=1_000)), bombs(), 100) <= 20
    )


def test_work_that_no_client_is_known_for_is_charged_to_the_connection() -> None:
    abuse = RawClient().connection._abuse
    before = abuse.resets.left
    assert abuse.charge_work(None, 3) == ""
    assert abuse.resets.left == before - 3
