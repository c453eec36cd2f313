"""How windows towards the peer open and close, and who is told of it."""

import pytest

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.events import StreamEnded
from tests.wire.http2.raw_client import (
    ACK,
    DATA,
    HEADERS,
    RST_STREAM,
    SETTINGS,
    STATUS,
    TRAILERS,
    Frame,
    RawClient,
    rst_stream,
    window_update,
)
from tests.wire.http2.windows import LARGEST, resized, sizes, with_window, writable


def test_a_wider_initial_window_opens_those_of_all_streams() -> None:
    client = with_window(1)
    stream, other = client.begin(1), client.begin(3)
    client.sender.send_data(stream, b"note")
    client.sent()
    assert client.send(resized(4)) == writable(stream)
    assert client.sent() == [Frame(SETTINGS, ACK, 0), Frame(DATA, 0, 1, b"ote")]
    assert (stream.send_window, other.send_window) == (0, 4)


def test_a_narrower_initial_window_may_leave_a_stream_below_zero() -> None:
    client = with_window(10)
    stream = client.begin(1)
    client.sender.send_data(stream, b"12345678")
    client.send(resized(3))
    assert stream.send_window == -5
    assert not client.sender.send_data(stream, b"9")
    client.sent()
    client.send(window_update(1, 5))
    assert not client.sent()
    assert client.send(window_update(1, 1)) == writable(stream)
    assert sizes(client) == [(1, 1)]


def test_a_stream_whose_window_is_taken_back_is_not_served_when_the_connection_opens() -> None:
    client = with_window(10)
    connection = client.connection
    stream = client.begin(1)
    connection.sender.send_window = 0
    connection.sender.send_data(stream, b"note")
    client.send(resized(0), window_update(0, 100))
    assert not sizes(client)
    assert client.send(resized(2)) == []
    assert sizes(client) == [(1, 2)]


@pytest.mark.parametrize("stream_id", [0, 1])
def test_a_window_over_its_largest_is_a_flow_control_error(stream_id: int) -> None:
    client = RawClient()
    client.begin(1)
    client.send(window_update(stream_id, LARGEST - 65_535))
    if stream_id:
        assert client.reset_of(window_update(1, 1)) == (1, ErrorCode.FLOW_CONTROL_ERROR)
    else:
        assert client.fault_of(window_update(0, 1)) == ErrorCode.FLOW_CONTROL_ERROR


def test_an_initial_window_that_overflows_a_stream_ends_the_connection() -> None:
    client = RawClient()
    client.begin(1)
    client.send(window_update(1, 1))
    assert client.fault_of(resized(LARGEST)) == ErrorCode.FLOW_CONTROL_ERROR


def test_a_window_update_of_0_for_the_connection_ends_it() -> None:
    assert RawClient().fault_of(window_update(0, 0)) == ErrorCode.PROTOCOL_ERROR


def test_a_full_socket_keeps_data_and_lets_headers_through() -> None:
    client = RawClient()
    connection = client.connection
    stream, other = client.begin(1), client.begin(3, ended=True)
    connection.pause()
    connection.sender.send_headers(stream, STATUS)
    assert not connection.sender.send_data(stream, b"note")
    connection.sender.respond(other, STATUS, b"answer", TRAILERS)
    assert [frame.kind for frame in client.sent()] == [HEADERS, HEADERS]
    assert not client.send(window_update(1, 5), window_update(0, 5))
    assert not sizes(client)
    assert connection.resume() == writable(stream)
    assert [(f.stream_id, f.kind) for f in client.sent()] == [(1, DATA), (3, DATA), (3, HEADERS)]


def test_an_owner_that_awaits_it_is_told_once_that_a_window_opened() -> None:
    client = with_window(10)
    connection = client.connection
    stream = client.begin(1)
    connection.sender.send_data(stream, b"12345678")
    connection.sender.await_writable(stream)
    assert client.send(window_update(1, 1)) == writable(stream)
    assert client.send(window_update(1, 1)) == []
    connection.sender.await_writable(stream)
    assert client.send(window_update(0, 1)) == writable(stream)
    connection.sender.await_writable(stream)
    connection.pause()
    assert client.send(window_update(0, 1)) == []
    assert connection.resume() == writable(stream)
    connection.sender.await_writable(stream)
    assert client.send(resized(20)) == writable(stream)


def test_an_owner_that_awaits_a_window_is_not_told_of_one_while_the_other_is_closed() -> None:
    client = with_window(0)
    connection = client.connection
    stream = client.begin(1)
    connection.sender.await_writable(stream)
    assert client.send(window_update(0, 1)) == []
    connection.sender.send_window = 0
    assert client.send(window_update(1, 1)) == []
    assert client.send(window_update(0, 1)) == writable(stream)


def test_an_owner_that_awaits_a_window_and_is_reset_is_told_only_of_the_reset() -> None:
    client = RawClient()
    stream = client.begin(1)
    client.sender.await_writable(stream)
    assert client.send(rst_stream(1), window_update(0, 1)) == [
        StreamEnded(stream, ErrorCode.CANCEL, by_peer=True)
    ]


def test_an_owner_that_awaits_a_window_and_keeps_data_is_told_once_when_they_are_out() -> None:
    client = with_window(2)
    stream = client.begin(1)
    client.sender.send_data(stream, b"note")
    client.sender.await_writable(stream)
    assert client.send(window_update(1, 1)) == []
    assert client.send(window_update(1, 100)) == writable(stream)
    assert client.send(window_update(0, 100)) == []


def test_the_owner_is_woken_when_there_is_output_and_only_then() -> None:
    client = RawClient()
    stream = client.begin(1)
    before = client.wakes
    client.sender.send_headers(stream, STATUS)
    client.sender.send_data(stream, b"note")
    assert client.wakes == before + 1
    client.sent()
    client.sender.reset(stream, ErrorCode.CANCEL)
    assert client.wakes == before + 2
    assert [frame.kind for frame in client.sent()] == [RST_STREAM]
