"""The owner of a fuzzed connection, which answers calls in every way that there is.

What it does depends on the stream's number alone, so the same bytes always do the same.
"""

from typing import Final

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.connection import Connection, ConnectionLimits
from notecast_wire.http2.events import (
    ConnectionEnded,
    DataReceived,
    Event,
    RequestBegun,
    RequestEnded,
    StreamEnded,
    StreamWritable,
)
from notecast_wire.http2.header_encoder import encode_headers
from notecast_wire.http2.stream import Stream

_HEADERS: Final = encode_headers([(b":status", b"200"), (b"content-type", b"application/grpc")])
_LONG_HEADERS: Final = _HEADERS + encode_headers([(b"long", b"x" * 20_000)])
_TRAILERS: Final = encode_headers([(b"grpc-status", b"0")])
_SHORT: Final = bytes(10)
_LONG: Final = bytes(100_000)
_WRITES: Final = 20


class Owner:
    """Answers what comes on one connection.

    Attributes:
        connection: the fuzzed one.
        sent: bytes of headers and data that it gave the connection.
        ended: whether the connection is over.
        largest_frame: the largest payload that the peer has ever allowed.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.connection = Connection(limits, lambda: None, clock=lambda: 0.0)
        self.sent = 0
        self.ended = False
        self.largest_frame = self.connection.sender.max_frame_bytes
        self._left: dict[int, int] = {}
        self._newest = 0
        self._gone: set[int] = set()

    def take(self, events: list[Event]) -> None:
        """Does what each event asks for; none of a stream may come after its end."""
        for event in events:
            assert not self.ended, f"{event} behind the last event"
            match event:
                case RequestBegun(stream, _, ended):
                    assert stream.id > self._newest
                    self._newest = stream.id
                    self._begin(stream)
                    if ended:
                        self._finish(stream)
                case DataReceived(stream, data, size, ended):
                    assert stream.id not in self._gone
                    assert len(data) <= size
                    self._consume(stream, size)
                    if ended:
                        self._finish(stream)
                case RequestEnded(stream):
                    assert stream.id not in self._gone
                    self._finish(stream)
                case StreamWritable(stream):
                    assert stream.id not in self._gone
                    self._write(stream)
                case StreamEnded(stream, _, _):
                    assert stream.over
                    assert stream.id not in self._gone
                    self._gone.add(stream.id)
                case ConnectionEnded():
                    self.ended = True
                case _:
                    pass

    def _begin(self, stream: Stream) -> None:
        connection = self.connection
        match stream.id // 2 % 8:
            case 0:
                self.sent += len(_HEADERS) + len(_SHORT) + len(_TRAILERS)
                connection.sender.respond(stream, _HEADERS, _SHORT, _TRAILERS)
            case 1:
                self.sent += len(_LONG_HEADERS) + len(_LONG) + len(_TRAILERS)
                connection.sender.respond(stream, _LONG_HEADERS, _LONG, _TRAILERS)
            case 2 | 3:
                self.sent += len(_HEADERS)
                connection.sender.send_headers(stream, _HEADERS)
                self._left[stream.id] = _WRITES
                self._write(stream)
            case 4:
                connection.sender.reset(stream, ErrorCode.REFUSED_STREAM)
            case _:
                pass

    def _write(self, stream: Stream) -> None:
        """Writes until something is kept, and now and then drops what was."""
        data = _LONG if stream.id // 2 % 8 == 2 else _SHORT
        while self._left.get(stream.id, 0):
            self._left[stream.id] -= 1
            self.sent += len(data)
            if not self.connection.sender.send_data(stream, data):
                break
        if stream.id % 5 == 0:
            self.connection.sender.drop_unsent(stream)
        self.connection.sender.await_writable(stream)

    def _finish(self, stream: Stream) -> None:
        if stream.id // 2 % 8 in (2, 3, 5):
            self.sent += len(_TRAILERS)
            if stream.id // 2 % 8 == 5:
                self.sent += len(_HEADERS)
                self.connection.sender.send_headers(stream, _HEADERS)
            self.connection.sender.send_trailers(stream, _TRAILERS)

    def _consume(self, stream: Stream, size: int) -> None:
        if stream.id // 2 % 8 != 6:
            self.connection.consumed(stream, size)
