"""Events that tell a connection's owner what the peer has sent."""

from typing import NamedTuple

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.stream import Stream


class RequestBegun(NamedTuple):
    """A well-formed request's headers have come.

    Attributes:
        stream: new, and open for sending.
        headers: names and values in the order sent, pseudo headers first.
        ended: there is no body, and nothing more comes on this stream.
    """

    stream: Stream
    headers: list[tuple[bytes, bytes]]
    ended: bool


class DataReceived(NamedTuple):
    """A DATA frame has come.

    Attributes:
        stream: the request's.
        data: without padding; may be empty.
        size: flow-controlled bytes, padding included: what `Connection.consumed` wants to hear.
        ended: this was the last of the request.
    """

    stream: Stream
    data: bytes
    size: int
    ended: bool


class RequestEnded(NamedTuple):
    """Trailers have ended the request. What they say is dropped: gRPC has no request trailers."""

    stream: Stream


class StreamEnded(NamedTuple):
    """A stream ended before its time; it is forgotten, and sending on it does nothing.

    Attributes:
        stream: as it was.
        code: what was said in RST_STREAM; CANCEL where the connection is gone.
        by_peer: the peer left, rather than that it was thrown out for what it sent.
    """

    stream: Stream
    code: ErrorCode
    by_peer: bool


class AnswerSent(NamedTuple):
    """All that was kept of a stream that we have ended is out, and so is its end."""

    stream: Stream


class StreamWritable(NamedTuple):
    """Nothing of the stream is kept, and since that was awaited, a window or the socket opened."""

    stream: Stream


class PingReceived(NamedTuple):
    """The peer has sent a PING. Its owner may find that it sends too many.

    Attributes:
        answer_in: in how many seconds to call `Connection.answer_pings`, if not before; 0 where
            there is nothing to do, as it was answered or that call is due anyway.
    """

    answer_in: float = 0.0


class Pong(NamedTuple):
    """A PING was answered, with the 8 bytes that it carried."""

    data: bytes


class PeerLeaving(NamedTuple):
    """The peer has sent GOAWAY: it opens no more streams, and finishes those that are open."""

    code: ErrorCode


class ConnectionEnded(NamedTuple):
    """The last event: GOAWAY is in the output, and nothing more is read.

    Attributes:
        code: what GOAWAY says.
        reason: for logs.
    """

    code: ErrorCode
    reason: str


Event = (
    RequestBegun
    | DataReceived
    | RequestEnded
    | StreamEnded
    | AnswerSent
    | StreamWritable
    | PingReceived
    | Pong
    | PeerLeaving
    | ConnectionEnded
)
