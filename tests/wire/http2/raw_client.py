"""A client without manners: any frames in, whatever comes out read with its own eyes."""

from collections.abc import Iterable
from typing import NamedTuple

import hpack

from notecast_wire.fairness.clients import Peer
from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.connection import PREFACE, Connection, ConnectionLimits
from notecast_wire.http2.events import ConnectionEnded, Event, RequestBegun, StreamEnded
from notecast_wire.http2.header_encoder import encode_headers
from notecast_wire.http2.stream import Stream

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
INITIAL_WINDOW_SIZE = 4
WHOLE = END_HEADERS | END_STREAM

REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/notecast.v1.ChatService/SendNote"),
    (b":authority", b"localhost"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]

STATUS = encode_headers([(b":status", b"200")])
TRAILERS = encode_headers([(b"grpc-status", b"0")])


class Frame(NamedTuple):
    """As it is on the wire, the length aside."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes = b""

    @property
    def number(self) -> int:
        """The 32 bits that the payload begins with."""
        return int.from_bytes(self.payload[:4])

    def octets(self) -> bytes:
        """The frame with its head."""
        head = len(self.payload).to_bytes(3) + bytes((self.kind, self.flags))
        return head + self.stream_id.to_bytes(4) + self.payload


def cut(octets: bytes) -> list[Frame]:
    """The frames in what a connection has put out."""
    frames = []
    while octets:
        length = int.from_bytes(octets[:3])
        head, payload, octets = octets[:9], octets[9 : 9 + length], octets[9 + length :]
        assert len(payload) == length, "a frame that is cut off"
        frames.append(Frame(head[3], head[4], int.from_bytes(head[5:]), payload))
    return frames


def setting(identifier: int, value: int) -> bytes:
    """One setting of a SETTINGS frame."""
    return identifier.to_bytes(2) + value.to_bytes(4)


def window_update(stream_id: int, increment: int) -> Frame:
    return Frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4))


def rst_stream(stream_id: int, code: int = ErrorCode.CANCEL) -> Frame:
    return Frame(RST_STREAM, 0, stream_id, code.to_bytes(4))


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class RawClient:
    """A connection of ours and what a test sends it.

    Args:
        limits: the connection's.
        settings: the payload of the client's SETTINGS.
        greeted: whether preface and SETTINGS are through, and the answers read.
        peer: who the client is; a proxy, for instance.
        budgets: of clients behind proxies, where connections share them.
    """

    def __init__(
        self,
        limits: ConnectionLimits | None = None,
        settings: bytes = b"",
        *,
        greeted: bool = True,
        peer: Peer | None = None,
        budgets: ClientBudgets | None = None,
    ) -> None:
        self.clock = Clock()
        self.wakes = 0
        self.connection = Connection(limits or ConnectionLimits(), self._woken, self.clock, budgets)
        self.sender = self.connection.sender
        if peer is not None:
            self.connection.serve(peer)
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.connection.start()
        if greeted:
            self.feed(PREFACE)
            assert not self.send(Frame(SETTINGS, 0, 0, settings), Frame(SETTINGS, ACK, 0))
            self.sent()

    def _woken(self) -> None:
        self.wakes += 1

    def feed(self, octets: bytes) -> list[Event]:
        return self.connection.receive(octets)

    def send(self, *frames: Frame) -> list[Event]:
        """All frames at once."""
        return self.feed(b"".join(frame.octets() for frame in frames))

    def sent(self) -> list[Frame]:
        """What the connection has put out since the last time."""
        output = b"".join(self.sender.output)
        self.sender.output.clear()
        return cut(output)

    def fields(self, frame: Frame) -> list[tuple[bytes, bytes]]:
        """The header list in a frame of ours."""
        return [
            (bytes(name), bytes(value))
            for name, value in self.decoder.decode(frame.payload, raw=True)
        ]

    def headers(
        self,
        stream_id: int,
        fields: Iterable[tuple[bytes, bytes]] = REQUEST,
        flags: int = END_HEADERS,
    ) -> Frame:
        """HEADERS of a request; not ended by itself."""
        return Frame(HEADERS, flags, stream_id, self.encoder.encode(fields))

    def begin(self, stream_id: int, *, ended: bool = False) -> Stream:
        """A request that is open, or ended, and its stream."""
        flags = END_HEADERS | (END_STREAM if ended else 0)
        (event,) = self.send(self.headers(stream_id, flags=flags))
        assert isinstance(event, RequestBegun)
        return event.stream

    def reset_of(self, *frames: Frame) -> tuple[int, ErrorCode]:
        """Sends what must reset a stream, and only that: the stream's id and the code."""
        events = self.send(*frames)
        assert not any(isinstance(event, ConnectionEnded) for event in events), events
        (reset,) = [frame for frame in self.sent() if frame.kind == RST_STREAM]
        ended = [event for event in events if isinstance(event, StreamEnded)]
        assert all((e.stream.id, e.code, e.by_peer) == (*_reset(reset), False) for e in ended)
        return _reset(reset)

    def fault_of(self, *frames: Frame) -> ErrorCode:
        """Sends what must end the connection: the code in GOAWAY."""
        return self.fault_in(b"".join(frame.octets() for frame in frames))

    def fault_in(self, octets: bytes) -> ErrorCode:
        """As `fault_of`, for octets."""
        events = self.feed(octets)
        assert events, "nothing happened"
        last = events[-1]
        assert isinstance(last, ConnectionEnded), last
        goaway = self.sent()[-1]
        assert goaway.kind == GOAWAY
        assert int.from_bytes(goaway.payload[4:8]) == last.code
        return last.code


def _reset(frame: Frame) -> tuple[int, ErrorCode]:
    return frame.stream_id, ErrorCode(frame.number)


def answered(client: RawClient, stream_id: int) -> None:
    """A call from its beginning to its end."""
    client.sender.respond(client.begin(stream_id, ended=True), STATUS, b"", TRAILERS)
    client.sent()
