"""One stream of a connection: its windows, what is kept of its data, and whose it is."""

from collections import deque
from typing import Final, Protocol

from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import ShareRefusal
from notecast_wire.http2.shared_window import NO_SHARED_WINDOW, SharedWindow

PEER_ENDED: Final = 1
"""The peer has sent END_STREAM."""
WE_ENDED: Final = 2
"""END_STREAM from us is out, or is kept after data."""
ANSWERED: Final = 4
"""HEADERS from us are out: a reset is no rapid reset any more."""
FORGOTTEN: Final = 8
"""Reset, or ended on both sides: the connection does not know it any more."""
END_KEPT: Final = 16
"""The last of the kept data carries END_STREAM."""
NOTHING_MORE: Final = FORGOTTEN | WE_ENDED
"""Either: nothing more is sent."""


class StreamOwner(Protocol):
    """Owner of a stream's request and answer, told of both: a call, or what is left of one."""

    def await_request(self) -> None:
        """The headers have come, and with them not all of the request."""

    def data_received(self, data: bytes, size: int, *, ended: bool) -> None:
        """A DATA frame has come: see `DataReceived`."""

    def request_ended(self) -> None:
        """The request has ended, with its headers or with trailers."""

    def writable(self) -> None:
        """Nothing is kept of the stream, and a window or the socket has opened."""

    def stream_ended(self) -> None:
        """The stream is over: its end is out, or the peer has left or was thrown out."""

    def stop(self, why: str) -> None:
        """The server or the connection ends, and with it the stream."""

    def lose(self, refusal: ShareRefusal) -> None:
        """Too much is kept for the stream's client: what is kept of this stream has to go."""


class Stream:
    """A call's two directions, as the connection sees them.

    An idle subscription is little more than one of these, so it has slots and no more of them
    than it needs.

    Attributes:
        id: the stream's number on its connection.
        data_head: what follows the length in the head of a DATA frame of this stream that does
            not end it: type, flags, stream id. 6 bytes, made once.
        granted: what `send_window` would be if nothing were owed.
        shared: what the stream owes together with others.
        receive_window: how many flow-controlled bytes the peer may still send.
        credit: how many bytes the owner has consumed that no WINDOW_UPDATE gave back yet.
        content_left: what is missing of the announced content-length; -1 where none was announced.
        state: the flags of this module.
        unsent: what windows or socket kept back, in order: views of DATA, and as the last, where
            they are kept too, the trailers' block as bytes. None while nothing is kept.
        call: the owner; None before there is one, and once nobody minds the stream.
        client: whose request it is.
    """

    __slots__ = (
        "call",
        "client",
        "content_left",
        "credit",
        "data_head",
        "granted",
        "id",
        "receive_window",
        "shared",
        "state",
        "unsent",
    )

    def __init__(
        self,
        stream_id: int,
        send_window: int,
        receive_window: int,
        content_length: int,
        client: ClientId,
    ) -> None:
        self.id = stream_id
        self.client = client
        self.data_head = stream_id.to_bytes(6)
        self.granted = send_window
        self.shared: SharedWindow = NO_SHARED_WINDOW
        self.receive_window = receive_window
        self.credit = 0
        self.content_left = content_length
        self.state = 0
        self.unsent: deque[memoryview | bytes] | None = None
        self.call: StreamOwner | None = None

    @property
    def send_window(self) -> int:
        """Bytes of DATA that the peer takes on this stream.

        Negative after it has shrunk its initial window (RFC 9113, 6.9.2).
        """
        return self.granted - self.shared.owed

    @send_window.setter
    def send_window(self, size: int) -> None:
        shared = self.shared
        self.granted = size + shared.owed
        if size < shared.left:  # noqa: PLR1730 - seldom so, and a call costs as much as all this
            shared.left = size

    @property
    def peer_ended(self) -> bool:
        """Whether the peer has sent all that it is going to send."""
        return bool(self.state & PEER_ENDED)

    @property
    def over(self) -> bool:
        """Whether the stream was reset or has ended on both sides: sending on it does nothing."""
        return bool(self.state & FORGOTTEN)
