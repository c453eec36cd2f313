"""Answers requests that are no gRPC calls in plain HTTP."""

from asyncio import TimerHandle
from typing import Final

from notecast_wire.calls.server_state import ConnectionHandle
from notecast_wire.fairness.shares import ShareRefusal
from notecast_wire.http2.events import RequestBegun
from notecast_wire.http2.header_encoder import encode_headers
from notecast_wire.http2.stream import Stream

_REST_SECONDS: Final = 0.1
"""How long an answer waits for the rest of the request: many clients can't read one before."""

HttpError = tuple[bytes, bytes]
"""A header block, and the body."""


def _http_error(status: bytes, text: bytes, *more: tuple[bytes, bytes]) -> HttpError:
    headers = [
        (b":status", status),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(text)),
        *more,
    ]
    return encode_headers(headers), text


METHOD_NOT_ALLOWED: Final = _http_error(
    b"405", b"This is a gRPC server: it is called with POST.\n", (b"allow", b"POST")
)
UNSUPPORTED_MEDIA_TYPE: Final = _http_error(
    b"415", b"This is a gRPC server: it speaks application/grpc.\n"
)


def send_http_error(handle: ConnectionHandle, event: RequestBegun, answer: HttpError) -> None:
    """Answers a request once it is complete, or soon; HEAD without a body (RFC 9110, 9.3.2)."""
    bodiless = (b":method", b"HEAD") in event.headers
    refusal = _Refusal(handle, event.stream, answer, bodiless=bodiless)
    if event.ended:
        refusal.request_ended()
    else:
        refusal.wait()


class _Refusal:
    """The `call` of a stream until the answer is out; drops the request."""

    __slots__ = ("_answer", "_bodiless", "_handle", "_stream", "_timer")

    def __init__(
        self, handle: ConnectionHandle, stream: Stream, answer: HttpError, *, bodiless: bool
    ) -> None:
        self._handle = handle
        self._stream = stream
        self._answer = answer
        self._bodiless = bodiless
        self._timer: TimerHandle | None = None

    def wait(self) -> None:
        """Starts the wait for the rest of the request."""
        self._stream.call = self
        self._timer = self._handle.server.loop.call_later(_REST_SECONDS, self.request_ended)

    def await_request(self) -> None:
        """Does nothing: `wait` bounds the time."""

    def data_received(self, _data: bytes, _size: int, *, ended: bool) -> None:
        """Drops the data. The window stays used up: more of the request is not wanted."""
        if ended:
            self.request_ended()

    def request_ended(self) -> None:
        """Sends the answer."""
        self.stream_ended()
        sender = self._handle.sender
        block, text = self._answer
        sender.send_headers(self._stream, block, end_stream=self._bodiless)
        if not self._bodiless:
            sender.send_data(self._stream, text, end_stream=True)

    def stream_ended(self) -> None:
        """Ends the wait: the client has left."""
        self._stream.call = None
        if self._timer is not None:
            self._timer.cancel()

    def writable(self) -> None:
        """Does nothing: nothing waits to be written."""

    def stop(self, _why: str) -> None:
        """Ends the wait: the server or the connection ends."""
        self.request_ended()

    def lose(self, _refusal: ShareRefusal) -> None:
        """Nothing is kept before the answer, and with that the stream has no owner."""
