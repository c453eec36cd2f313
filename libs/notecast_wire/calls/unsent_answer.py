"""What is left of a call that has ended for its handler, while its client has yet to take it."""

from grpc import StatusCode

from notecast_wire.calls.deadlines import Expiring
from notecast_wire.calls.server_state import ConnectionHandle
from notecast_wire.fairness.shares import ShareRefusal
from notecast_wire.http2.stream import Stream
from notecast_wire.rpc.metadata import Headers
from notecast_wire.rpc.status import LATER, trailers


def outlive(call: Expiring, handle: ConnectionHandle, stream: Stream) -> None:
    """Lets the deadline of a call that is over go on, where its client has yet to take data.

    Where it has not, the deadline is discarded.

    Args:
        call: the call; it is no longer the stream's.
        handle: the call's connection.
        stream: the call's stream.
    """
    deadlines = handle.server.deadlines
    if stream.unsent is None:
        deadlines.discard(call)
    else:
        stream.call = UnsentAnswer(handle, stream)
        deadlines.replace(call, stream.call)


class UnsentAnswer:
    """The `call` of a stream of which data are kept, and the status after them.

    The deadline of the call goes on until the last octet is out. Whatever ends it before drops
    what is kept and sends another status at once: HEADERS are not subject to flow control
    (RFC 9113, 5.2.1).

    Args:
        handle: the call's connection.
        stream: the call's stream.
    """

    __slots__ = ("due_tick", "handle", "stream")

    def __init__(self, handle: ConnectionHandle, stream: Stream) -> None:
        self.handle = handle
        self.stream = stream
        self.due_tick = 0

    def await_request(self) -> None:
        """The request is not waited for any more."""

    def data_received(self, _data: bytes, _size: int, *, ended: bool) -> None:
        """Drops it; the window stays used up."""

    def request_ended(self) -> None:
        """Nobody asks for the request any more."""

    def writable(self) -> None:
        """What is kept goes out by itself."""

    def stream_ended(self) -> None:
        """All is out, or the client has left."""
        self.stream.call = None
        if self.due_tick:
            self.handle.server.deadlines.discard(self)

    def expire(self) -> None:
        """The deadline has passed."""
        self._end(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def stop(self, why: str) -> None:
        """The server or the connection ends."""
        self._end(StatusCode.UNAVAILABLE, why)

    def lose(self, refusal: ShareRefusal) -> None:
        """Too much is held for its client."""
        self._end(StatusCode.RESOURCE_EXHAUSTED, str(refusal), LATER)

    def _end(self, code: StatusCode, details: str, metadata: Headers | None = None) -> None:
        self.stream_ended()
        self.handle.sender.end_instead(self.stream, trailers(code, details, metadata or []))
