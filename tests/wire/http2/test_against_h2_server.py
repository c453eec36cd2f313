"""Frames of any kind, in any order, judged by our connection and by the `h2` library's server.

Both must take a frame, or both object to it. How much falls with it may differ, since a stream's
fault may be treated as the connection's (RFC 9113, 5.4.2), and `h2` does so nearly always; where
both end the connection, they say the same code, unless `h2` is known to say a vaguer one.
"""

from enum import Enum

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
from hypothesis import given, settings
from hypothesis import strategies as st

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.connection import PREFACE, Connection, ConnectionLimits
from notecast_wire.http2.events import ConnectionEnded, RequestBegun
from notecast_wire.http2.header_encoder import encode_headers
from notecast_wire.http2.stream import Stream
from tests.wire.http2.raw_client import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    REQUEST,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    cut,
    setting,
)

STATUS = [(b":status", b"200")]
TRAILERS = [(b"grpc-status", b"0")]
ANNOUNCED = encode_headers([(b"content-length", b"5")])


class Verdict(Enum):
    """What became of a frame."""

    TAKEN = "taken"
    STREAM = "the stream was reset"
    CONNECTION = "the connection ended"


class Ours:
    """Our connection."""

    def __init__(self) -> None:
        self.connection = Connection(ConnectionLimits(max_concurrent_streams=3), lambda: None)
        self.connection.start()
        self.streams: dict[int, Stream] = {}
        self.code: int = ErrorCode.NO_ERROR
        self.judge(PREFACE + Frame(SETTINGS, 0, 0).octets() + Frame(SETTINGS, ACK, 0).octets())

    def judge(self, octets: bytes) -> Verdict:
        events = self.connection.receive(octets)
        sent = cut(b"".join(self.connection.sender.output))
        self.connection.sender.output.clear()
        for event in events:
            if isinstance(event, RequestBegun):
                self.streams[event.stream.id] = event.stream
            elif isinstance(event, ConnectionEnded):
                self.code = event.code
                return Verdict.CONNECTION
        resets = [frame for frame in sent if frame.kind == RST_STREAM]
        return Verdict.STREAM if resets else Verdict.TAKEN

    def answer(self, stream_id: int) -> None:
        stream = self.streams[stream_id]
        headers, trailers = encode_headers(STATUS), encode_headers(TRAILERS)
        self.connection.sender.respond(stream, headers, b"", trailers)
        self.connection.sender.output.clear()

    @property
    def ended(self) -> list[int]:
        return [stream.id for stream in self.connection.streams.values() if stream.peer_ended]


class Theirs:
    """The server of `h2`."""

    def __init__(self) -> None:
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None)
        )
        self.connection.initiate_connection()
        codes = h2.settings.SettingCodes
        self.connection.update_settings({codes.MAX_CONCURRENT_STREAMS: 3})
        self.code: int = ErrorCode.NO_ERROR
        ack = Frame(SETTINGS, ACK, 0).octets()
        self.judge(PREFACE + Frame(SETTINGS, 0, 0).octets() + ack + ack)

    def judge(self, octets: bytes) -> Verdict:
        try:
            events = self.connection.receive_data(octets)
        except h2.exceptions.ProtocolError as fault:
            self.code = fault.error_code
            return Verdict.CONNECTION
        sent = cut(self.connection.data_to_send())
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self.connection.acknowledge_received_data(
                    event.flow_controlled_length or 0, event.stream_id
                )
        resets = [frame for frame in sent if frame.kind == RST_STREAM]
        return Verdict.STREAM if resets else Verdict.TAKEN

    def answer(self, stream_id: int) -> None:
        self.connection.send_headers(stream_id, STATUS)
        self.connection.send_headers(stream_id, TRAILERS, end_stream=True)
        self.connection.data_to_send()


def number(value: int) -> bytes:
    return value.to_bytes(4)


stream_ids = st.one_of(st.sampled_from([1, 3, 5, 7]), st.integers(0, 12))
increments = st.sampled_from([0, 1, 1_000, 2**31 - 1, 2**31 - 65_536, 2**31])
field_lists = st.one_of(
    st.just(REQUEST),
    st.just(REQUEST),
    st.just([(b"x-checksum", b"1")]),
    st.sampled_from(
        [
            [],
            REQUEST[:2],
            [*REQUEST, REQUEST[0]],
            [*REQUEST, (b"connection", b"close")],
            [*REQUEST, (b"te", b"gzip")],
            [*REQUEST, (b"X-Upper", b"1")],
            [*REQUEST, (b"x y", b"1")],
            [*REQUEST, (b"x", b" 1")],
            [*REQUEST, (b"x", b"1\n")],
            [*REQUEST, (b"", b"1")],
            [*REQUEST, (b":status", b"200")],
            [*REQUEST, (b"host", b"elsewhere")],
            [*REQUEST, (b"content-length", b"5")],
            [*REQUEST, (b"content-length", b"five")],
        ]
    ),
)
blocks = st.one_of(
    field_lists.map(encode_headers),
    field_lists.map(encode_headers),
    st.sampled_from([b"\x80", b"\xff", b"\x3f\xff\xff\xff\x7f", b"\x40\x01"]),
)
header_flags = st.sampled_from([END_HEADERS, END_HEADERS | END_STREAM, END_STREAM, 0])
frames = st.one_of(
    st.builds(Frame, st.just(HEADERS), header_flags, stream_ids, blocks),
    st.builds(Frame, st.just(HEADERS), header_flags, stream_ids, blocks),
    st.builds(
        lambda flags, i, depends, block: Frame(
            HEADERS, flags | HAS_PRIORITY, i, number(depends) + b"\0" + block
        ),
        header_flags,
        stream_ids,
        stream_ids,
        blocks,
    ),
    st.builds(
        lambda flags, i, pad, block: Frame(HEADERS, flags | PADDED, i, bytes((pad,)) + block),
        header_flags,
        stream_ids,
        st.sampled_from([0, 3, 255]),  # hyperframe allows no fragment that is all padding
        blocks,
    ),
    st.builds(Frame, st.just(CONTINUATION), st.sampled_from([0, END_HEADERS]), stream_ids, blocks),
    st.builds(
        Frame,
        st.just(DATA),
        st.sampled_from([0, END_STREAM, PADDED, PADDED | END_STREAM]),
        stream_ids,
        st.sampled_from([b"", b"\x00", b"\x03abcde", b"12345", bytes(16_384)]),
    ),
    st.builds(Frame, st.just(RST_STREAM), st.just(0), stream_ids, st.just(number(8))),
    st.builds(Frame, st.just(WINDOW_UPDATE), st.just(0), stream_ids, increments.map(number)),
    st.builds(
        Frame,
        st.just(SETTINGS),
        st.just(0),
        st.sampled_from([0, 0, 0, 1]),
        st.lists(
            st.builds(
                setting,
                st.integers(1, 7),
                st.sampled_from([0, 1, 2, 16_384, 2**24 - 1, 2**24, 2**31 - 1, 2**31]),
            ),
            max_size=3,
            unique_by=lambda value: value[:2],  # of several, h2 looks at the last alone
        ).map(b"".join),
    ),
    st.builds(
        Frame,
        st.just(PING),
        st.sampled_from([0, ACK]),
        st.sampled_from([0, 0, 1]),
        st.just(bytes(8)),
    ),
    st.builds(
        Frame,
        st.just(PRIORITY),
        st.just(0),
        stream_ids,
        stream_ids.map(lambda depends: number(depends) + b"\0"),
    ),
    st.builds(Frame, st.just(PUSH_PROMISE), st.just(END_HEADERS), stream_ids, st.just(number(2))),
    # Of any type but GOAWAY, after which `h2` takes nothing.
    st.builds(
        Frame,
        st.sampled_from([0, 1, 2, 3, 4, 5, 6, 8, 9, 0x42, 200]),
        st.integers(0, 255),
        stream_ids,
        st.binary(max_size=9),
    ),
)
steps = st.lists(st.one_of(frames, frames, frames, st.just("answer")), max_size=25)


def h2_is_lenient(steps: list[Frame | str], frame: Frame) -> bool:
    """Whether the frame breaks a rule that `h2` does not know."""
    if frame.kind in (RST_STREAM, PUSH_PROMISE):  # of an idle stream; without END_HEADERS
        return True
    # A body that is announced and never comes, RFC 9113, 8.1.1.
    sent = b"".join(step.payload for step in steps if isinstance(step, Frame))
    return frame.kind in (HEADERS, CONTINUATION) and ANNOUNCED in sent


def h2_is_strict(frame: Frame) -> bool:
    """Whether `h2` objects to what is to be ignored: the reserved bit, or 0 for an ended stream."""
    return frame.kind == WINDOW_UPDATE and (frame.number >= 2**31 or frame.number == 0)


def same_code(ours: int, theirs: int) -> bool:
    """Whether both name the same rule; `h2` often names none, and of two broken ones, either."""
    either = (ErrorCode.FRAME_SIZE_ERROR, ErrorCode.STREAM_CLOSED)
    return theirs in (ours, ErrorCode.PROTOCOL_ERROR) or (
        ours == ErrorCode.PROTOCOL_ERROR and theirs in either
    )


@given(steps)
@settings(max_examples=500, deadline=None)
def test_a_frame_is_taken_by_both_or_objected_to_by_both(steps: list[Frame | str]) -> None:
    ours, theirs = Ours(), Theirs()
    for step in steps:
        if isinstance(step, str):
            for stream_id in ours.ended[:1]:
                ours.answer(stream_id)
                theirs.answer(stream_id)
            continue
        verdict, other = ours.judge(step.octets()), theirs.judge(step.octets())
        if verdict is other is Verdict.TAKEN:
            continue
        if other is Verdict.TAKEN:
            assert h2_is_lenient(steps, step)
        elif verdict is Verdict.TAKEN:
            assert h2_is_strict(step)
        elif verdict is other is Verdict.CONNECTION:
            assert same_code(ours.code, theirs.code)
        return
