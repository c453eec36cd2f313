"""The preface, SETTINGS, PING and GOAWAY."""

import pytest

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.connection import PREFACE, ConnectionLimits
from notecast_wire.http2.events import (
    ConnectionEnded,
    PeerLeaving,
    PingReceived,
    Pong,
    RequestBegun,
)
from notecast_wire.http2.header_encoder import encode_headers
from tests.wire.http2.raw_client import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    RST_STREAM,
    SETTINGS,
    STATUS,
    TRAILERS,
    Frame,
    RawClient,
    rst_stream,
    setting,
    window_update,
)

SPACING = ConnectionLimits().pong_spacing_seconds
DELAY = ConnectionLimits().pong_delay_seconds
LARGEST = 2**31 - 1


def goaway(client: RawClient) -> tuple[int, int]:
    """The last stream id and the code of the only frame that went out."""
    (frame,) = client.sent()
    assert frame.kind == GOAWAY
    return frame.number, int.from_bytes(frame.payload[4:8])


def test_our_settings_go_first_and_say_what_the_limits_are() -> None:
    limits = ConnectionLimits(
        max_concurrent_streams=7, stream_window_bytes=70_000, max_header_list_bytes=9_000
    )
    ours, _ = RawClient(limits, greeted=False).sent()
    assert (ours.kind, ours.flags, ours.stream_id) == (SETTINGS, 0, 0)
    assert ours.payload == setting(3, 7) + setting(4, 70_000) + setting(6, 9_000)


@pytest.mark.parametrize("size", [1, 5, 24, 100])
def test_the_preface_may_come_in_pieces(size: int) -> None:
    client = RawClient(greeted=False)
    octets = PREFACE + Frame(SETTINGS, 0, 0).octets() + client.headers(1).octets()
    events = [
        event
        for start in range(0, len(octets), size)
        for event in client.feed(octets[start : start + size])
    ]
    assert [type(event) for event in events] == [RequestBegun]


@pytest.mark.parametrize(
    "octets", [b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", b"X"]
)
def test_what_is_not_http2_is_told_so(octets: bytes) -> None:
    client = RawClient(greeted=False)
    assert client.fault_in(octets) == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "first", [Frame(PING, 0, 0, bytes(8)), Frame(SETTINGS, ACK, 0), window_update(0, 1)]
)
def test_a_client_that_does_not_begin_with_its_settings_is_turned_away(first: Frame) -> None:
    client = RawClient(greeted=False)
    assert client.fault_in(PREFACE + first.octets()) == ErrorCode.PROTOCOL_ERROR


def test_settings_are_acknowledged_and_unknown_ones_ignored() -> None:
    client = RawClient()
    assert not client.send(Frame(SETTINGS, 0, 0, setting(0x99, 1) + setting(3, 0)))
    assert client.sent() == [Frame(SETTINGS, ACK, 0)]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (Frame(SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (Frame(SETTINGS, ACK, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
        (Frame(SETTINGS, 0, 0, setting(2, 2)), ErrorCode.PROTOCOL_ERROR),
        (Frame(SETTINGS, 0, 0, setting(4, 2**31)), ErrorCode.FLOW_CONTROL_ERROR),
        (Frame(SETTINGS, 0, 0, setting(5, 16_383)), ErrorCode.PROTOCOL_ERROR),
        (Frame(SETTINGS, 0, 0, setting(5, 2**24)), ErrorCode.PROTOCOL_ERROR),
        (Frame(SETTINGS, 0, 0, setting(4, 2**31) + setting(4, 5)), ErrorCode.FLOW_CONTROL_ERROR),
        (Frame(PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (Frame(PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (Frame(PING, ACK, 0, bytes(9)), ErrorCode.FRAME_SIZE_ERROR),
        (Frame(GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (Frame(GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (window_update(0, 1)._replace(payload=bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
    ],
)
def test_a_control_frame_that_breaks_a_rule_ends_the_connection(
    frame: Frame, code: ErrorCode
) -> None:
    assert RawClient().fault_of(frame) == code


def test_blocks_larger_than_the_peers_frames_are_split() -> None:
    client = RawClient()
    block = encode_headers([(b"x-large", b"v" * 20_000)])
    client.sender.send_headers(client.begin(1), block)
    assert [frame.kind for frame in client.sent()] == [HEADERS, CONTINUATION]
    client.send(Frame(SETTINGS, 0, 0, setting(5, 30_000)))
    client.sent()
    client.sender.send_headers(client.begin(3), block)
    assert [frame.kind for frame in client.sent()] == [HEADERS]


def test_an_answer_with_a_large_block_is_split_too() -> None:
    client = RawClient()
    trailers = encode_headers([(b"grpc-message", b"m" * 20_000)])
    client.sender.respond(client.begin(1, ended=True), STATUS, b"note", trailers)
    frames = client.sent()
    assert [frame.kind for frame in frames] == [HEADERS, DATA, HEADERS, CONTINUATION]
    assert not client.connection.streams


@pytest.mark.parametrize("sizes", [[0], [4_095], [100, 8_192]])
def test_the_block_after_a_smaller_table_says_that_ours_is_empty(sizes: list[int]) -> None:
    client = RawClient(settings=b"".join(setting(1, size) for size in sizes))
    first, second = client.begin(1, ended=True), client.begin(3, ended=True)
    client.sender.respond(first, STATUS, b"", TRAILERS)
    client.sender.respond(second, STATUS, b"", TRAILERS)
    blocks = [frame.payload for frame in client.sent()]
    assert blocks == [b"\x20" + STATUS, TRAILERS, STATUS, TRAILERS]
    client.decoder.max_allowed_table_size = sizes[0]  # as a peer would check it
    assert client.fields(Frame(HEADERS, END_HEADERS, 1, blocks[0])) == [(b":status", b"200")]


def test_a_refusal_of_large_headers_says_that_our_table_is_empty_too() -> None:
    client = RawClient(ConnectionLimits(max_header_list_bytes=10), setting(1, 0))
    client.send(client.headers(1, flags=END_HEADERS | END_STREAM))
    client.send(client.headers(3, flags=END_HEADERS | END_STREAM))
    first, second = (frame.payload for frame in client.sent())
    assert first == b"\x20" + second


def test_a_table_that_we_gave_up_can_not_shrink_again() -> None:
    client = RawClient(settings=setting(1, 100))
    client.sender.send_headers(client.begin(1), STATUS)
    client.send(Frame(SETTINGS, 0, 0, setting(1, 0)))
    client.sent()
    client.sender.send_headers(client.begin(3), STATUS)
    assert client.sent() == [Frame(HEADERS, END_HEADERS, 3, STATUS)]


def test_a_larger_table_of_the_peer_needs_no_word() -> None:
    client = RawClient(settings=setting(1, 65_536))
    client.sender.send_headers(client.begin(1), STATUS)
    assert client.sent() == [Frame(HEADERS, END_HEADERS, 1, STATUS)]


def test_a_ping_is_answered_with_its_data() -> None:
    client = RawClient()
    assert client.send(Frame(PING, 0, 0, b"notecast")) == [PingReceived()]
    assert client.sent() == [Frame(PING, ACK, 0, b"notecast")]


def test_pings_in_quick_succession_are_answered_together_a_little_later() -> None:
    client = RawClient()
    assert client.send(Frame(PING, 0, 0, b"notecast")) == [PingReceived()]
    client.clock.now += 0.03
    [received] = client.send(Frame(PING, 0, 0, b"secondly"))
    assert isinstance(received, PingReceived)
    assert received.answer_in == pytest.approx(SPACING + DELAY - 0.03)
    assert client.send(Frame(PING, 0, 0, b"thirdly!")) == [PingReceived()]
    assert client.sent() == [Frame(PING, ACK, 0, b"notecast")]
    client.clock.now += SPACING
    assert client.connection.answer_pings() == pytest.approx(DELAY - 0.03)
    assert client.sent() == []
    client.clock.now += DELAY - 0.029
    assert client.connection.answer_pings() == 0
    assert client.sent() == [Frame(PING, ACK, 0, b"secondly"), Frame(PING, ACK, 0, b"thirdly!")]
    assert client.connection.answer_pings() == 0
    assert client.sent() == []


def test_a_ping_that_waits_is_answered_with_what_is_written_but_not_too_soon() -> None:
    client = RawClient()
    client.send(Frame(PING, 0, 0, b"notecast"), Frame(PING, 0, 0, b"secondly"))
    client.sent()
    client.clock.now += SPACING - 0.001
    client.connection.answer_pings_along()
    assert client.sent() == []
    client.clock.now += 0.002
    client.connection.answer_pings_along()
    assert client.sent() == [Frame(PING, ACK, 0, b"secondly")]
    client.connection.answer_pings_along()
    assert client.sent() == []


def test_a_ping_waits_for_no_more_than_so_many_bytes() -> None:
    client = RawClient(settings=setting(INITIAL_WINDOW_SIZE, LARGEST))
    client.send(window_update(0, LARGEST - 65_535), Frame(PING, 0, 0, b"notecast"))
    stream, most = client.begin(1), ConnectionLimits().pong_spacing_bytes
    client.send(Frame(PING, 0, 0, b"secondly"))
    client.sender.send_data(stream, bytes(most - 1))
    client.sent()
    client.connection.answer_pings_along()
    assert client.sent() == []
    client.sender.send_data(stream, b"1")
    client.connection.answer_pings_along()
    assert client.sent()[1:] == [Frame(PING, ACK, 0, b"secondly")]
    client.sender.send_data(stream, bytes(most))
    client.sent()
    client.send(Frame(PING, 0, 0, b"thirdly!"))
    assert client.sent() == [Frame(PING, ACK, 0, b"thirdly!")]


def test_the_answer_to_our_ping_is_told() -> None:
    client = RawClient()
    first, second = client.connection.ping(), client.connection.ping()
    assert first != second
    assert [frame.payload for frame in client.sent()] == [first, second]
    assert client.send(Frame(PING, ACK, 0, second)) == [Pong(second)]
    assert not client.sent()


def test_a_peer_that_leaves_is_told_and_its_calls_go_on() -> None:
    client = RawClient()
    stream = client.begin(1)
    frame = Frame(GOAWAY, 0, 0, bytes(7) + b"\x0b" + b"why")
    assert client.send(frame) == [PeerLeaving(ErrorCode.ENHANCE_YOUR_CALM)]
    assert client.send(Frame(DATA, END_STREAM, 1, b"note"))
    client.sender.respond(stream, STATUS, b"note", TRAILERS)
    assert len(client.sent()) == 3


def test_a_graceful_end_takes_what_was_under_way_and_refuses_what_comes_later() -> None:
    client = RawClient()
    connection = client.connection
    client.begin(1)
    connection.goaway(last_stream_id=LARGEST)
    assert goaway(client) == (LARGEST, ErrorCode.NO_ERROR)
    stream = client.begin(3)
    connection.goaway()
    assert goaway(client) == (3, ErrorCode.NO_ERROR)
    assert client.reset_of(client.headers(5)) == (5, ErrorCode.REFUSED_STREAM)
    refused = client.headers(9, [(b"x-room", b"lobby")], END_HEADERS)
    assert client.reset_of(refused) == (9, ErrorCode.REFUSED_STREAM)
    assert not client.send(
        Frame(DATA, END_STREAM, 5, b"a"),
        client.headers(9, [(b"a", b"b")], END_HEADERS | END_STREAM),
        window_update(5, 1),
        rst_stream(5),
    )
    assert not client.sent()
    assert client.send(Frame(DATA, END_STREAM, 3, b"note"))
    connection.sender.respond(stream, STATUS, b"note", TRAILERS)
    assert [frame.kind for frame in client.sent()] == [HEADERS, DATA, HEADERS]


def test_the_decoder_stays_in_step_with_requests_that_are_refused() -> None:
    client = RawClient()
    client.begin(1)
    client.connection.goaway(last_stream_id=1)
    assert not client.send(client.headers(3, [(b"x-room", b"lobby")]))
    trailers = client.headers(1, [(b"x-room", b"lobby")], END_HEADERS | END_STREAM)
    assert len(trailers.payload) == 1  # by the index that the refused request made
    assert len(client.send(trailers)) == 1


def test_the_last_stream_that_is_promised_never_goes_up_again() -> None:
    client = RawClient()
    client.begin(1)
    client.connection.goaway(last_stream_id=1)
    client.sent()
    client.send(client.headers(3))
    client.sent()
    client.connection.goaway(last_stream_id=LARGEST)
    assert goaway(client) == (1, ErrorCode.NO_ERROR)
    client.connection.goaway(ErrorCode.ENHANCE_YOUR_CALM)
    assert goaway(client) == (1, ErrorCode.ENHANCE_YOUR_CALM)


def test_a_fault_names_the_last_stream_and_nothing_after_it_is_read() -> None:
    client = RawClient()
    client.begin(5)
    events = client.send(window_update(0, 0), client.headers(7))
    assert [type(event) for event in events] == [ConnectionEnded]
    (frame,) = client.sent()
    assert (frame.number, frame.payload[4:8]) == (5, bytes((0, 0, 0, ErrorCode.PROTOCOL_ERROR)))
    assert client.send(client.headers(7)) == []
    assert client.feed(b"anything") == []
    assert not client.sent()


def test_what_came_before_a_fault_is_told_before_it() -> None:
    client = RawClient()
    begun, ended = client.send(client.headers(1), window_update(0, 0))
    assert isinstance(begun, RequestBegun)
    assert isinstance(ended, ConnectionEnded)
    assert not [frame for frame in client.sent() if frame.kind == RST_STREAM]


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame(HEADERS, END_HEADERS, 0), b"HEADERS on stream 0"),
        (Frame(CONTINUATION, END_HEADERS, 1), b"unexpected CONTINUATION"),
        (Frame(PING, 0, 1, bytes(8)), b"PING on a stream other than 0"),
        (window_update(0, 0), b"WINDOW_UPDATE with an increment of 0"),
        (Frame(DATA, 0, 1), b"frame on an idle stream"),
    ],
)
def test_a_fault_is_named_in_the_words_of_the_rfc(frame: Frame, text: bytes) -> None:
    client = RawClient()
    client.send(frame)
    assert client.sent()[-1].payload[8:] == text
