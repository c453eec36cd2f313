"""Which header lists are requests (RFC 9113, 8.1 to 8.3)."""

import pytest

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.connection import ConnectionLimits
from notecast_wire.http2.events import DataReceived, RequestBegun, RequestEnded
from tests.wire.http2.raw_client import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    REQUEST,
    RST_STREAM,
    WHOLE,
    Frame,
    RawClient,
    rst_stream,
)

Fields = list[tuple[bytes, bytes]]


def without(*names: bytes) -> Fields:
    return [field for field in REQUEST if field[0] not in names]


def test_a_request_and_its_body_come_as_they_were_sent() -> None:
    client = RawClient()
    begun, data = client.send(client.headers(1), Frame(DATA, END_STREAM, 1, b"hello"))
    assert isinstance(begun, RequestBegun)
    assert (begun.stream.id, begun.headers, begun.ended) == (1, REQUEST, False)
    assert data == DataReceived(begun.stream, b"hello", 5, ended=True)
    assert begun.stream.peer_ended


def test_a_request_without_a_body_is_ended_by_its_headers() -> None:
    client = RawClient()
    (begun,) = client.send(client.headers(1, flags=WHOLE))
    assert isinstance(begun, RequestBegun)
    assert begun.ended
    assert begun.stream.peer_ended


def test_padding_and_priority_are_no_part_of_a_block() -> None:
    client = RawClient()
    block = client.encoder.encode(REQUEST)
    payload = b"\x03" + (0).to_bytes(4) + b"\x10" + block + bytes(3)
    (begun,) = client.send(Frame(HEADERS, END_HEADERS | PADDED | HAS_PRIORITY, 1, payload))
    assert isinstance(begun, RequestBegun)
    assert begun.headers == REQUEST


def test_a_block_may_come_in_continuations_some_of_them_empty() -> None:
    client = RawClient()
    block = client.encoder.encode(REQUEST)
    (begun,) = client.send(
        Frame(HEADERS, END_STREAM, 1, block[:7]),
        Frame(CONTINUATION, 0, 1, block[7:9]),
        Frame(CONTINUATION, 0, 1, b""),
        Frame(CONTINUATION, END_HEADERS, 1, block[9:]),
    )
    assert isinstance(begun, RequestBegun)
    assert (begun.headers, begun.ended) == (REQUEST, True)


MALFORMED = {
    "no method": without(b":method"),
    "no scheme": without(b":scheme"),
    "no path": without(b":path"),
    "nothing": [],
    "an empty path": [*without(b":path")[:2], (b":path", b"")],
    "a path without a slash": [*without(b":path")[:2], (b":path", b"a")],
    "a star where it means nothing": [*without(b":path")[:2], (b":path", b"*")],
    "a pseudo header twice": [REQUEST[0], *REQUEST],
    "a pseudo header behind others": [*without(b":path"), (b":path", b"/")],
    "a pseudo header of answers": [(b":status", b"200"), *REQUEST],
    "an unknown pseudo header": [(b":version", b"2"), *REQUEST],
    "extended CONNECT, which was not offered": [(b":protocol", b"websocket"), *REQUEST],
    "CONNECT with a path": [(b":method", b"CONNECT"), *REQUEST[1:4]],
    "CONNECT without an authority": [(b":method", b"CONNECT")],
    "upper case": [*REQUEST, (b"Accept", b"a")],
    "an empty name": [*REQUEST, (b"", b"a")],
    "a name with a space": [*REQUEST, (b"a b", b"a")],
    "a name with a colon": [*REQUEST, (b"a:b", b"a")],
    "a name beyond ASCII": [*REQUEST, (b"\xe4", b"a")],
    "a line feed in a value": [*REQUEST, (b"a", b"a\nb")],
    "a carriage return in a value": [*REQUEST, (b"a", b"a\rb")],
    "a zero in a value": [*REQUEST, (b"a", b"a\0b")],
    "a value that begins with a space": [*REQUEST, (b"a", b" b")],
    "a value that ends with a tab": [*REQUEST, (b"a", b"b\t")],
    "connection": [*REQUEST, (b"connection", b"close")],
    "proxy-connection": [*REQUEST, (b"proxy-connection", b"close")],
    "keep-alive": [*REQUEST, (b"keep-alive", b"5")],
    "transfer-encoding": [*REQUEST, (b"transfer-encoding", b"chunked")],
    "upgrade": [*REQUEST, (b"upgrade", b"h2c")],
    "te with more than trailers": [*without(b"te"), (b"te", b"trailers, gzip")],
    "a host unlike the authority": [*REQUEST, (b"host", b"elsewhere")],
    "a content-length that is no number": [*REQUEST, (b"content-length", b"5 ")],
    "a negative content-length": [*REQUEST, (b"content-length", b"-5")],
    "an endless content-length": [*REQUEST, (b"content-length", b"9" * 30)],
    "two content-lengths": [*REQUEST, *[(b"content-length", b"5")] * 2],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request_is_reset_and_the_next_one_is_served(fields: Fields) -> None:
    client = RawClient()
    assert client.reset_of(client.headers(1, fields)) == (1, ErrorCode.PROTOCOL_ERROR)
    assert not client.connection.streams
    assert client.begin(3).id == 3


WELL_FORMED = {
    "no authority": without(b":authority"),
    "an empty value": [*REQUEST, (b"a", b"")],
    "a value beyond ASCII": [*REQUEST, (b"a", b"\xe4\x80")],
    "a space within a value": [*REQUEST, (b"a", b"b c\td")],
    "te in upper case": [*without(b"te"), (b"te", b"Trailers")],
    "the same name twice": [*REQUEST, (b"a", b"1"), (b"a", b"2")],
    "a host like the authority": [*REQUEST, (b"host", b"LOCALHOST")],
    "OPTIONS of everything": [(b":method", b"OPTIONS"), REQUEST[1], (b":path", b"*")],
    "CONNECT": [(b":method", b"CONNECT"), (b":authority", b"localhost:80")],
}


@pytest.mark.parametrize("fields", WELL_FORMED.values(), ids=WELL_FORMED.keys())
def test_a_request_that_is_odd_but_well_formed_is_taken(fields: Fields) -> None:
    client = RawClient()
    (begun,) = client.send(client.headers(1, fields))
    assert isinstance(begun, RequestBegun)
    assert begun.headers == fields


@pytest.mark.parametrize(
    "bodies",
    [
        [(b"12345", 0), (b"", END_STREAM)],
        [(b"12345", END_STREAM)],
        [(b"12", 0), (b"345", END_STREAM)],
        [(b"", 0), (b"12345", END_STREAM)],
    ],
)
def test_a_body_as_long_as_announced_is_taken(bodies: list[tuple[bytes, int]]) -> None:
    client = RawClient()
    client.send(client.headers(1, [*REQUEST, (b"content-length", b"5")]))
    events = client.send(*(Frame(DATA, flags, 1, data) for data, flags in bodies))
    assert b"".join(event.data for event in events if isinstance(event, DataReceived)) == b"12345"
    assert not client.sent()


@pytest.mark.parametrize(
    "body",
    [
        [Frame(DATA, 0, 1, b"123456")],
        [Frame(DATA, END_STREAM, 1, b"1234")],
        [Frame(DATA, 0, 1, b"123"), Frame(DATA, END_STREAM, 1, b"456")],
        [Frame(DATA, END_STREAM, 1, b"")],
    ],
)
def test_a_body_unlike_its_content_length_resets_the_stream(body: list[Frame]) -> None:
    client = RawClient()
    client.send(client.headers(1, [*REQUEST, (b"content-length", b"5")]))
    assert client.reset_of(*body) == (1, ErrorCode.PROTOCOL_ERROR)


def test_a_body_that_is_announced_and_never_comes_resets_the_stream() -> None:
    client = RawClient()
    frame = client.headers(1, [*REQUEST, (b"content-length", b"5")], WHOLE)
    assert client.reset_of(frame) == (1, ErrorCode.PROTOCOL_ERROR)


def test_padding_is_no_part_of_a_bodys_length() -> None:
    client = RawClient()
    client.send(client.headers(1, [*REQUEST, (b"content-length", b"2")]))
    (data,) = client.send(Frame(DATA, END_STREAM | PADDED, 1, b"\x03ab" + bytes(3)))
    assert isinstance(data, DataReceived)
    assert (data.data, data.size) == (b"ab", 6)


def test_trailers_end_a_request() -> None:
    client = RawClient()
    stream = client.begin(1)
    trailers = client.headers(1, [(b"x-checksum", b"1")], WHOLE)
    assert client.send(trailers) == [RequestEnded(stream)]
    assert stream.peer_ended


@pytest.mark.parametrize(
    "fields",
    [[(b":path", b"/")], [(b"connection", b"close")], [(b"A", b"b")], [(b"a", b" b")]],
)
def test_malformed_trailers_reset_the_stream(fields: Fields) -> None:
    client = RawClient()
    client.begin(1)
    frame = client.headers(1, fields, WHOLE)
    assert client.reset_of(frame) == (1, ErrorCode.PROTOCOL_ERROR)


def test_trailers_that_do_not_end_the_stream_reset_it() -> None:
    client = RawClient()
    client.begin(1)
    frame = client.headers(1, [(b"a", b"b")])
    assert client.reset_of(frame) == (1, ErrorCode.PROTOCOL_ERROR)


def test_trailers_before_the_announced_length_came_reset_the_stream() -> None:
    client = RawClient()
    client.send(client.headers(1, [*REQUEST, (b"content-length", b"5")]))
    frame = client.headers(1, [(b"a", b"b")], WHOLE)
    assert client.reset_of(frame) == (1, ErrorCode.PROTOCOL_ERROR)


def test_headers_over_the_bound_are_answered_431_and_the_decoder_stays_in_step() -> None:
    client = RawClient(ConnectionLimits(max_header_list_bytes=1_000))
    large = [*REQUEST, (b"x-token", b"t" * 900)]
    assert not client.send(client.headers(1, large))
    answer, reset = client.sent()
    assert client.fields(answer) == [(b":status", b"431")]
    assert answer.flags == WHOLE
    assert (reset.kind, reset.stream_id, reset.number) == (RST_STREAM, 1, ErrorCode.NO_ERROR)
    (begun,) = client.send(client.headers(3, REQUEST))
    assert isinstance(begun, RequestBegun)
    assert begun.headers == REQUEST
    assert not client.send(Frame(DATA, END_STREAM, 1, b"under way"), rst_stream(1))
    assert not client.sent()


def test_trailers_over_the_bound_reset_the_stream() -> None:
    client = RawClient(ConnectionLimits(max_header_list_bytes=1_000))
    client.begin(1)
    frame = client.headers(1, [(b"x-token", b"t" * 1_000)], WHOLE)
    assert client.reset_of(frame) == (1, ErrorCode.ENHANCE_YOUR_CALM)


def test_a_header_block_that_can_not_be_decoded_ends_the_connection() -> None:
    client = RawClient()
    fault = client.fault_of(Frame(HEADERS, END_HEADERS, 1, b"\x80"))
    assert fault == ErrorCode.COMPRESSION_ERROR
