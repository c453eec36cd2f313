"""The life of streams (RFC 9113, 5.1): which frames each state allows, and what is forgotten."""

import pytest

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.connection import ConnectionLimits
from notecast_wire.http2.events import StreamEnded
from tests.wire.http2.raw_client import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PRIORITY,
    REQUEST,
    RST_STREAM,
    STATUS,
    TRAILERS,
    WHOLE,
    Frame,
    RawClient,
    answered,
    rst_stream,
    window_update,
)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(DATA, 0, 5, b"a"),
        rst_stream(5),
        window_update(5, 1),
        Frame(CONTINUATION, END_HEADERS, 5, b""),
        Frame(DATA, 0, 2, b"a"),
        rst_stream(2),
        window_update(2, 1),
    ],
)
def test_a_frame_on_an_idle_stream_ends_the_connection(frame: Frame) -> None:
    client = RawClient()
    client.begin(1)
    assert client.fault_of(frame) == ErrorCode.PROTOCOL_ERROR


def test_a_stream_with_an_even_id_ends_the_connection() -> None:
    client = RawClient()
    assert client.fault_of(client.headers(2)) == ErrorCode.PROTOCOL_ERROR


def test_an_id_that_was_left_out_can_not_be_used_any_more() -> None:
    client = RawClient()
    client.begin(1)
    client.begin(5)
    assert client.fault_of(client.headers(3)) == ErrorCode.PROTOCOL_ERROR


def test_ids_may_be_left_out() -> None:
    client = RawClient()
    for stream_id in (3, 9, 11, 2**31 - 1):
        assert client.begin(stream_id).id == stream_id


@pytest.mark.parametrize("stream_id", [1, 3])
def test_headers_of_a_call_that_is_over_end_the_connection(stream_id: int) -> None:
    client = RawClient()
    answered(client, 1)
    answered(client, 3)
    assert client.fault_of(client.headers(stream_id)) == ErrorCode.STREAM_CLOSED


def test_headers_after_a_reset_of_the_client_end_the_connection() -> None:
    client = RawClient()
    client.begin(1)
    client.send(rst_stream(1))
    assert client.fault_of(client.headers(1, flags=WHOLE)) == ErrorCode.STREAM_CLOSED


@pytest.mark.parametrize("by_reset", [True, False])
def test_data_of_a_stream_that_has_ended_resets_it(by_reset: bool) -> None:  # noqa: FBT001 - a case
    client = RawClient()
    if by_reset:
        client.begin(1)
        client.send(rst_stream(1))
    else:
        answered(client, 1)
    assert client.reset_of(Frame(DATA, 0, 1, b"a")) == (1, ErrorCode.STREAM_CLOSED)


def test_what_a_client_sends_before_it_learns_of_our_reset_is_ignored() -> None:
    client = RawClient()
    client.sender.reset(client.begin(1), ErrorCode.CANCEL)
    client.sent()
    assert not client.send(
        Frame(DATA, 0, 1, b"a"),
        window_update(1, 5),
        window_update(1, 0),
        client.headers(1, [(b"a", b"b")], WHOLE),
        rst_stream(1),
    )
    assert not client.sent()
    assert client.begin(3).id == 3


def test_what_a_client_sends_after_an_end_of_its_own_is_not_excused_by_our_reset() -> None:
    client = RawClient()
    for stream_id in (1, 3, 5):
        client.sender.reset(client.begin(stream_id), ErrorCode.CANCEL)
    client.sent()
    client.send(rst_stream(1), Frame(DATA, END_STREAM, 3, b"a"))
    assert client.reset_of(Frame(DATA, 0, 1, b"a")) == (1, ErrorCode.STREAM_CLOSED)
    assert client.reset_of(Frame(DATA, 0, 3, b"a")) == (3, ErrorCode.STREAM_CLOSED)
    trailers = client.headers(5, [(b"a", b"b")], WHOLE)
    assert not client.send(trailers)
    assert client.fault_of(trailers) == ErrorCode.STREAM_CLOSED


@pytest.mark.parametrize("ended", [True, False])
def test_window_updates_and_resets_of_a_stream_that_has_ended_are_ignored(ended: bool) -> None:  # noqa: FBT001 - a case
    client = RawClient()
    client.sender.respond(client.begin(1, ended=ended), STATUS, b"", TRAILERS)
    client.sent()
    assert not client.send(window_update(1, 5), rst_stream(1), Frame(PRIORITY, 0, 1, bytes(5)))
    assert not client.sent()


@pytest.mark.parametrize("frame", [Frame(DATA, 0, 1, b"a"), Frame(HEADERS, WHOLE, 1, b"\x82")])
def test_a_frame_after_the_end_of_a_request_resets_its_stream(frame: Frame) -> None:
    client = RawClient()
    client.begin(1, ended=True)
    assert client.reset_of(frame) == (1, ErrorCode.STREAM_CLOSED)
    assert not client.connection.streams


def test_a_stream_that_is_reset_for_a_bad_frame_is_told_to_its_owner_once() -> None:
    client = RawClient()
    stream = client.begin(1)
    events = client.send(window_update(1, 0), window_update(1, 0))
    assert events == [StreamEnded(stream, ErrorCode.PROTOCOL_ERROR, by_peer=False)]
    assert stream.over


def test_what_comes_after_a_bad_frame_of_a_stream_is_ignored() -> None:
    client = RawClient()
    client.begin(1)
    assert client.reset_of(window_update(1, 0)) == (1, ErrorCode.PROTOCOL_ERROR)
    assert not client.send(Frame(DATA, 0, 1, b"a"), client.headers(1, [(b"a", b"b")], WHOLE))
    assert not client.sent()


def test_a_reset_by_the_client_is_told_with_its_code() -> None:
    client = RawClient()
    stream = client.begin(1)
    assert client.send(rst_stream(1, ErrorCode.CANCEL)) == [
        StreamEnded(stream, ErrorCode.CANCEL, by_peer=True)
    ]
    assert not client.connection.streams
    assert not client.sent()


def test_a_code_that_nobody_knows_counts_as_an_internal_error() -> None:
    client = RawClient()
    stream = client.begin(1)
    assert client.send(rst_stream(1, 0xDEAD)) == [
        StreamEnded(stream, ErrorCode.INTERNAL_ERROR, by_peer=True)
    ]


def test_one_stream_more_than_allowed_is_refused_and_the_decoder_stays_in_step() -> None:
    client = RawClient(ConnectionLimits(max_concurrent_streams=2))
    first = client.begin(1, ended=True)
    client.begin(3)
    refused = client.headers(5, [*REQUEST, (b"x-room", b"lobby")])
    assert client.reset_of(refused) == (5, ErrorCode.REFUSED_STREAM)
    assert not client.send(Frame(DATA, END_STREAM, 5, b"under way"))
    client.sender.respond(first, STATUS, b"", TRAILERS)
    (begun,) = client.send(client.headers(7, [*REQUEST, (b"x-room", b"lobby")]))
    assert begun.headers[-1] == (b"x-room", b"lobby")  # type: ignore[union-attr]


def test_an_answer_before_the_request_has_ended_tells_the_client_to_stop() -> None:
    client = RawClient()
    client.sender.respond(client.begin(1), STATUS, b"note", TRAILERS)
    *_, trailers, reset = client.sent()
    assert (trailers.kind, trailers.flags) == (HEADERS, WHOLE)
    assert (reset.kind, reset.stream_id, reset.number) == (RST_STREAM, 1, ErrorCode.NO_ERROR)
    assert not client.send(Frame(DATA, END_STREAM, 1, b"under way"))
    assert not client.sent()


def test_ended_streams_are_forgotten_at_once_and_what_is_remembered_is_bounded() -> None:
    client = RawClient(ConnectionLimits(closed_streams_remembered=10))
    for stream_id in range(1, 4_001, 4):
        stream = client.begin(stream_id)
        client.sender.send_headers(stream, STATUS)
        client.sender.reset(stream, ErrorCode.CANCEL)
    client.sent()
    connection = client.connection
    assert not connection.streams
    assert len(connection._closed._reset) == 10
    assert len(connection._closed._gaps or ()) <= 16


def test_sending_on_a_stream_that_is_over_does_nothing() -> None:
    client = RawClient()
    stream = client.begin(1)
    client.send(rst_stream(1))
    connection = client.connection
    connection.sender.send_headers(stream, STATUS)
    assert connection.sender.send_data(stream, b"note")
    assert connection.sender.send_data(stream, bytes(100_000), end_stream=True)
    connection.sender.send_trailers(stream, TRAILERS)
    connection.sender.respond(stream, STATUS, b"note", TRAILERS)
    connection.sender.reset(stream, ErrorCode.CANCEL)
    connection.consumed(stream, 65_535)
    connection.sender.await_writable(stream)
    connection.sender.drop_unsent(stream)
    assert not client.sent()
    assert connection.sender.send_window == 65_535


def test_a_lost_connection_ends_all_its_streams_and_is_deaf() -> None:
    client = RawClient()
    streams = [client.begin(1), client.begin(3, ended=True)]
    assert client.connection.close() == [
        StreamEnded(stream, ErrorCode.CANCEL, by_peer=True) for stream in streams
    ]
    assert not client.send(client.headers(5))
    assert not client.connection.close()
