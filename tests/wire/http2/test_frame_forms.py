"""Frames that are of the wrong form, or of none that is known (RFC 9113, 4.1 and 6)."""

import pytest

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.events import DataReceived
from tests.wire.http2.raw_client import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PRIORITY,
    REQUEST,
    STATUS,
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
        Frame(DATA, 0, 0, b"a"),
        Frame(HEADERS, WHOLE, 0, STATUS),
        Frame(CONTINUATION, END_HEADERS, 0, b""),
        rst_stream(0),
        Frame(PRIORITY, 0, 0, bytes(5)),
        Frame(5, END_HEADERS, 1, bytes(4)),  # PUSH_PROMISE
    ],
)
def test_a_frame_that_no_client_may_send_ends_the_connection(frame: Frame) -> None:
    assert RawClient().fault_of(frame) == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "frame",
    [
        Frame(DATA, PADDED, 1, b"\x01"),
        Frame(DATA, PADDED, 1, b"\x05abcd"),
        Frame(HEADERS, PADDED | WHOLE, 1, b"\x09\x82"),
    ],
)
def test_more_padding_than_payload_ends_the_connection(frame: Frame) -> None:
    client = RawClient()
    client.begin(1)
    assert client.fault_of(frame) == ErrorCode.PROTOCOL_ERROR


def test_more_padding_than_payload_ends_the_connection_whatever_the_stream() -> None:
    client = RawClient()
    client.sender.reset(client.begin(1), ErrorCode.CANCEL)
    client.sent()
    assert client.fault_of(Frame(DATA, PADDED, 1, b"\x05abcd")) == ErrorCode.PROTOCOL_ERROR


def test_padding_alone_is_empty_data() -> None:
    client = RawClient()
    stream = client.begin(1)
    assert client.send(Frame(DATA, PADDED, 1, b"\x03" + bytes(3))) == [
        DataReceived(stream, b"", 4, ended=False)
    ]


@pytest.mark.parametrize(
    "between",
    [
        Frame(DATA, 0, 1, b"a"),
        Frame(PRIORITY, 0, 3, bytes(5)),
        Frame(HEADERS, END_HEADERS, 3, b"\x82"),
        Frame(CONTINUATION, END_HEADERS, 5, b"\x82"),
        Frame(6, 0, 0, bytes(8)),
        Frame(0x16, 0, 3, b""),
    ],
)
def test_nothing_comes_between_the_parts_of_a_header_block(between: Frame) -> None:
    client = RawClient()
    client.begin(1)
    fault = client.fault_of(Frame(HEADERS, 0, 3, b"\x82"), between)
    assert fault == ErrorCode.PROTOCOL_ERROR


def test_a_continuation_of_a_whole_block_ends_the_connection() -> None:
    client = RawClient()
    client.begin(1)
    fault = client.fault_of(Frame(CONTINUATION, END_HEADERS, 1, b""))
    assert fault == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (rst_stream(1)._replace(payload=bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
        (window_update(1, 1)._replace(payload=bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (Frame(HEADERS, WHOLE | HAS_PRIORITY, 3, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
        (Frame(DATA, PADDED, 1, b""), ErrorCode.FRAME_SIZE_ERROR),
        (Frame(PRIORITY, 0, 9, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
        (Frame(PRIORITY, 0, 9, (9).to_bytes(4) + b"\0"), ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_a_frame_of_the_wrong_form_ends_the_connection(frame: Frame, code: ErrorCode) -> None:
    client = RawClient()
    client.begin(1)
    assert client.fault_of(frame) == code


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(PRIORITY, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
        (Frame(PRIORITY, 0, 1, (1).to_bytes(4) + b"\0"), ErrorCode.PROTOCOL_ERROR),
        (window_update(1, 0), ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_a_frame_of_the_wrong_form_resets_its_stream(frame: Frame, code: ErrorCode) -> None:
    client = RawClient()
    client.begin(1)
    assert client.reset_of(frame) == (1, code)


def test_a_request_that_depends_on_itself_is_reset() -> None:
    client = RawClient()
    block = client.encoder.encode(REQUEST)
    frame = Frame(HEADERS, WHOLE | HAS_PRIORITY, 1, (1).to_bytes(4) + b"\0" + block)
    assert client.reset_of(frame) == (1, ErrorCode.PROTOCOL_ERROR)


def test_priorities_are_taken_in_every_state_and_change_nothing() -> None:
    client = RawClient()
    answered(client, 1)
    client.begin(3)
    frames = [Frame(PRIORITY, 0, stream_id, bytes(5)) for stream_id in (1, 3, 5, 2)]
    assert not client.send(*frames)
    assert not client.sent()


def test_frames_of_unknown_types_and_flags_without_meaning_are_ignored() -> None:
    client = RawClient()
    assert not client.send(Frame(0x0A, 0xFF, 3, b"abc"), Frame(0xFF, 0, 0, b""))
    stream = client.begin(1)
    assert client.send(Frame(DATA, 0xF6, 1, b"a")) == [DataReceived(stream, b"a", 1, ended=False)]
