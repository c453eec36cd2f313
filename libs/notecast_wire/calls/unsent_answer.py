"""Keeps a call that has ended for its handler until its client has taken the answer."""

from grpc import StatusCode

from notecast_wire.calls.deadlines import Expiring
from notecast_wire.calls.server_state import ConnectionHandle
from notecast_wire.fairness.shares import ShareRefusal
from notecast_wire.http2.stream import Stream
from notecast_wire.rpc.metadata import Headers
from notecast_wire.rpc.status import LATER, trailers


def outlive(call: Expiring, handle: ConnectionHandle, stream: Stream) -> None:
    """Keeps the deadline of a call that is over while its client has yet to take data.

    If all data are out, discards the deadline.

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
    """The `call` of a stream with unsent data and a status after them.

    The call's deadline continues until the last octet is out. If the call is ended before, the
    unsent data are dropped and another status is sent at once: HEADERS are not subject to flow
    control (RFC 9113, 5.2.1).

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
        """Does nothing: no handler waits for the request."""

    def data_received(self, _data: bytes, _size: int, *, ended: bool) -> None:
        """Drops the data; the window stays used up."""

    def request_ended(self) -> None:
        """Does nothing: no handler waits for the request."""

    def writable(self) -> None:
        """Does nothing: unsent data are sent by the connection."""

    def stream_ended(self) -> None:
        """Discards the deadline: all is out, or the client has left."""
        self.stream.call = None
        if self.due_tick:
            self.handle.server.deadlines.discard(self)

    def expire(self) -> None:
        """Ends the call: its deadline has passed."""
        self._end(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def stop(self, why: str) -> None:
        """Ends the call: the server or the connection ends."""
        self._end(StatusCode.UNAVAILABLE, why)

    def lose(self, refusal: ShareRefusal) -> None:
        """Ends the call: too much is held for its client."""
        self._end(StatusCode.RESOURCE_EXHAUSTED, str(refusal), LATER)

    def _end(self, code: StatusCode, details: str, metadata: Headers | None = None) -> None:
        self.stream_ended()
        self.handle.sender.end_instead(self.stream, trailers(code, details, metadata or []))
