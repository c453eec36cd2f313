"""What the peer may send (RFC 9113, 5.2 and 6.9): no byte more than was given, and none less."""

import pytest

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.connection import PREFACE, ConnectionLimits
from notecast_wire.http2.events import DataReceived
from tests.wire.http2.raw_client import (
    ACK,
    DATA,
    END_STREAM,
    PADDED,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    RawClient,
    rst_stream,
    window_update,
)
from tests.wire.http2.windows import LARGEST


def test_a_stream_that_overruns_its_window_is_reset_and_one_that_fills_it_is_not() -> None:
    client = RawClient(ConnectionLimits(stream_window_bytes=20_000))
    client.begin(1)
    client.send(Frame(DATA, 0, 1, bytes(16_384)), Frame(DATA, 0, 1, bytes(3_616)))
    assert not client.sent()
    assert client.reset_of(Frame(DATA, 0, 1, b"a")) == (1, ErrorCode.FLOW_CONTROL_ERROR)


def test_an_empty_end_fits_where_our_settings_have_made_the_window_negative() -> None:
    client = RawClient(ConnectionLimits(stream_window_bytes=10), greeted=False)
    client.feed(PREFACE)
    client.send(Frame(SETTINGS, 0, 0))
    stream = client.begin(1)
    client.send(Frame(DATA, 0, 1, bytes(100)), Frame(SETTINGS, ACK, 0))
    assert stream.receive_window == 10 - 100
    assert client.send(Frame(DATA, END_STREAM, 1)) == [DataReceived(stream, b"", 0, ended=True)]


def test_padding_counts_against_the_window() -> None:
    client = RawClient(ConnectionLimits(stream_window_bytes=10))
    client.begin(1)
    client.send(Frame(DATA, PADDED, 1, b"\x05abcd" + bytes(5)))
    assert client.reset_of(Frame(DATA, 0, 1, b"a")) == (1, ErrorCode.FLOW_CONTROL_ERROR)


def test_what_the_owner_has_consumed_is_given_back_in_halves_of_the_window() -> None:
    client = RawClient(ConnectionLimits(stream_window_bytes=1_000))
    stream = client.begin(1)
    client.send(Frame(DATA, 0, 1, bytes(1_000)))
    client.connection.consumed(stream, 499)
    assert not client.sent()
    client.connection.consumed(stream, 1)
    assert client.sent() == [window_update(1, 500)]
    assert client.send(Frame(DATA, 0, 1, bytes(500))) == [
        DataReceived(stream, bytes(500), 500, ended=False)
    ]
    assert client.reset_of(Frame(DATA, 0, 1, b"a")) == (1, ErrorCode.FLOW_CONTROL_ERROR)


def test_nothing_is_given_back_to_a_request_that_has_ended() -> None:
    client = RawClient(ConnectionLimits(stream_window_bytes=1_000))
    stream = client.begin(1)
    client.send(Frame(DATA, END_STREAM, 1, bytes(1_000)))
    client.connection.consumed(stream, 1_000)
    assert not client.sent()


def test_the_connections_window_is_given_back_on_receipt_whatever_owners_do() -> None:
    client = RawClient(ConnectionLimits(connection_window_bytes=65_535))
    for stream_id in range(1, 41, 2):
        client.begin(stream_id)
        client.send(Frame(DATA, 0, stream_id, bytes(16_384)))
    given = [frame.number for frame in client.sent() if frame.kind == WINDOW_UPDATE]
    assert 20 * 16_384 - sum(given) < 65_535 / 2


def test_a_connection_that_overruns_its_window_ends() -> None:
    client = RawClient(ConnectionLimits(stream_window_bytes=LARGEST))
    client.connection._receive_window = 20_000  # as when nothing was given back
    client.begin(1)
    client.send(Frame(DATA, 0, 1, bytes(16_384)))
    fault = client.fault_of(Frame(DATA, 0, 1, bytes(3_617)))
    assert fault == ErrorCode.FLOW_CONTROL_ERROR


@pytest.mark.parametrize("state", ["reset by us", "reset by the client", "above the last"])
def test_data_of_streams_that_are_not_open_counts_against_the_connection(state: str) -> None:
    client = RawClient(ConnectionLimits(connection_window_bytes=65_535))
    stream = client.begin(1)
    if state == "reset by us":
        client.sender.reset(stream, ErrorCode.CANCEL)
    elif state == "reset by the client":
        client.send(rst_stream(1))
    else:
        client.connection.goaway()
        client.send(client.headers(3))
    client.sent()
    frame = Frame(DATA, 0, 3 if state == "above the last" else 1, bytes(16_384))
    client.send(frame, frame)
    assert window_update(0, 32_768) in client.sent()


def test_the_window_that_we_announce_holds_from_its_acknowledgement_on() -> None:
    client = RawClient(ConnectionLimits(stream_window_bytes=10), greeted=False)
    client.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    client.send(Frame(SETTINGS, 0, 0))
    client.begin(1)
    client.send(Frame(DATA, 0, 1, bytes(15)))
    client.send(Frame(SETTINGS, ACK, 0))
    client.begin(3)
    client.sent()
    assert client.reset_of(Frame(DATA, 0, 1, b"a")) == (1, ErrorCode.FLOW_CONTROL_ERROR)
    client.send(Frame(DATA, 0, 3, bytes(10)))
    assert client.reset_of(Frame(DATA, 0, 3, b"a")) == (3, ErrorCode.FLOW_CONTROL_ERROR)


def test_the_connections_window_opens_as_wide_as_announced() -> None:
    client = RawClient(ConnectionLimits(connection_window_bytes=100_000), greeted=False)
    assert client.sent()[-1] == window_update(0, 100_000 - 65_535)
