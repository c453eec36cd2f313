"""Writes a call's response without a task: an idle subscription is little more than this."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

from grpc import StatusCode

from notecast_wire.calls.peers import Origin
from notecast_wire.calls.server_state import ConnectionHandle
from notecast_wire.calls.unsent_answer import outlive
from notecast_wire.fairness.held_bytes import Holder
from notecast_wire.fairness.shares import ShareRefusal
from notecast_wire.http2.settings import DEFAULT_WINDOW_BYTES
from notecast_wire.http2.stream import Stream
from notecast_wire.rpc.messages import length_prefixed
from notecast_wire.rpc.metadata import Metadata, encode_metadata
from notecast_wire.rpc.status import LATER, trailers

_PATIENCE_SECONDS: Final = 1.0


class Membership(Protocol):
    """A group of outlets, such as an audience. An outlet leaves it when its call ends."""

    def discard(self, outlet: "StreamOutlet") -> None:
        """Removes an outlet, if it is a member."""


class StreamOutlet:
    """The sending end of a call that its handler has detached.

    It has no queue: a message is either taken or refused, and `on_writable` tells when to try
    again. Messages are never compressed, because streams share them whose clients may accept
    different encodings.

    Args:
        handle: the call's connection.
        stream: the call's stream.

    Attributes:
        handle: the connection that it writes to.
        stream: the stream that it writes to.
        done: whether the call has ended, or the client has left.
    """

    __slots__ = (
        "_audiences",
        "_on_done",
        "_on_writable",
        "_retry",
        "_seen",
        "_since",
        "done",
        "due_tick",
        "handle",
        "stream",
    )

    def __init__(self, handle: ConnectionHandle, stream: Stream) -> None:
        self.handle = handle
        self.stream = stream
        self.done = False
        self.due_tick = 0
        self._audiences: tuple[Membership, ...] = ()
        self._on_done: Callable[[], None] | None = None
        self._on_writable: Callable[[], None] | None = None
        self._since: float | None = None
        self._seen = 0
        self._retry: asyncio.TimerHandle | None = None

    def write(self, message: bytes) -> bool:
        """Sends one serialised message, if it can go out now.

        A message that is larger than the free window waits, so that a status rarely interrupts a
        message. It is sent in parts if most of the window is free, or if nothing has moved for a
        second: some clients only open their window once it is used up.

        Returns:
            True if it was taken. False if nothing was: the message before is not out, the window
            is too small, the socket is full, or the call has ended. `on_writable` tells when to
            try again.
        """
        return self.write_framed(length_prefixed(message))

    def write_framed(self, data: bytes) -> bool:
        """Sends a message that has its prefix already; see `write`."""
        stream = self.stream
        sender = self.handle.sender
        if self.done:
            return False
        if stream.unsent is not None or sender.congested or not self._fits(len(data)):
            self._wait()
            return False
        if sender.send_data(stream, data):
            self._since = None
        else:
            self._wait()
        self.handle.wrote(len(data))  # notices a full socket before all is written
        return True

    @property
    def origin(self) -> Origin:
        """The connection that it writes to, as the log names it."""
        return self.handle.origin

    @property
    def waiting_since(self) -> float | None:
        """Monotonic time since which pending data has made no progress; None while there is none.

        Progress is what the client's windows have let through between two reads of this property.
        """
        if self._since is not None and self._seen != self._progress():
            self._since = time.monotonic()
            self._seen = self._progress()
        return self._since

    def on_writable(self, callback: Callable[[], None]) -> None:
        """Calls the callback whenever a refused write may be tried again."""
        self._on_writable = callback

    def hold(self, holder: Holder, size: int) -> None:
        """Counts data that is held for this stream elsewhere, in the budget of its unsent data.

        If that becomes too much, `Holder.lose` makes the holder give it up.

        Args:
            holder: the holder of the data. Each holder counts once.
            size: the bytes held from now on; 0: none.
        """
        budget = self.handle.server.held_output
        budget.hold(holder, holder, self.stream.client, 0 if self.done else size)

    def on_done(self, callback: Callable[[], None]) -> None:
        """Calls the callback once, soon after the call has ended for any reason.

        Also if it has ended already. Several callbacks are called in order.
        """
        if self.done:
            self.handle.server.loop.call_soon(callback)
            return
        earlier = self._on_done
        self._on_done = callback if earlier is None else _in_order(earlier, callback)

    def end(self, code: StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> None:
        """Ends the call with a status, after what was taken. Does nothing if it has ended.

        Raises:
            ValueError: metadata that may not be sent.
        """
        if not self.done:
            self._say_end(trailers(code, details, encode_metadata(trailing_metadata)))

    def cut(self, code: StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> None:
        """Ends the call with a status at once; drops what was taken and is not out.

        HEADERS are not subject to flow control (RFC 9113, 5.2.1), so even a client that does not
        read gets the status.
        """
        if not self.done:
            self.handle.sender.drop_unsent(self.stream)
            self.end(code, details, trailing_metadata)

    def join(self, audience: Membership) -> None:
        """Remembers a group, to leave it when the call ends."""
        self._audiences += (audience,)

    def part(self, audience: Membership) -> None:
        """Forgets a group."""
        self._audiences = tuple(other for other in self._audiences if other is not audience)

    # Events of the stream

    def await_request(self) -> None:
        """The request was whole before its call was detached."""

    def data_received(self, _data: bytes, _size: int, *, ended: bool) -> None:
        """The request was whole before its call was detached."""

    def request_ended(self) -> None:
        """The request was whole before its call was detached."""

    def stream_ended(self) -> None:
        """Ends the call: the client has left, or its stream was reset."""
        self._lose()

    def writable(self) -> None:
        """Lets the writer try again: a window or the socket has opened, and all data are out."""
        self._since = None
        if self._on_writable is not None:
            self._on_writable()

    def expire(self) -> None:
        """Ends the call: its deadline has passed."""
        self.cut(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    def lose(self, refusal: ShareRefusal) -> None:
        """Ends the call: too much unsent data is held for its client."""
        if not self.done:
            self.handle.sender.drop_unsent(self.stream)
            self._say_end(trailers(StatusCode.RESOURCE_EXHAUSTED, str(refusal), LATER))

    def stop(self, why: str) -> None:
        """Ends the call: the server or the connection ends."""
        self.cut(StatusCode.UNAVAILABLE, why)

    def _say_end(self, block: bytes) -> None:
        self.handle.sender.send_trailers(self.stream, block)
        self._lose()

    def _lose(self) -> None:
        """Frees all that it refers to: the call has ended."""
        if self.done:
            return
        self.done = True
        self.stream.call = None
        server = self.handle.server
        server.open_calls -= 1
        outlive(self, self.handle, self.stream)
        for audience in self._audiences:
            audience.discard(self)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._on_done is not None:
            server.loop.call_soon(self._on_done)
        self._on_done = self._on_writable = self._since = None

    def _fits(self, size: int) -> bool:
        sender = self.handle.sender
        ours, shared = self.stream.send_window, sender.send_window
        if size <= ours and size <= shared:
            return True
        if ours <= 0 or shared <= 0:
            return False
        if ours * 2 > sender.initial_send_window and shared * 2 > DEFAULT_WINDOW_BYTES:
            return True
        return self._since is not None and time.monotonic() - self._since >= _PATIENCE_SECONDS

    def _wait(self) -> None:
        if self._since is not None:
            return
        self._since = time.monotonic()
        self._seen = self._progress()
        if self.stream.unsent is None:
            self.handle.sender.await_writable(self.stream)
            if self._retry is None:
                self._retry = self.handle.server.loop.call_later(_PATIENCE_SECONDS, self._try_again)

    def _try_again(self) -> None:
        """Lets the writer try again: the window has been open, but too small, for a while."""
        self._retry = None
        sender = self.handle.sender
        window = min(self.stream.send_window, sender.send_window)
        open_ = window > 0 and not sender.congested and self.stream.unsent is None
        if open_ and self._since is not None and self._on_writable is not None:
            self._on_writable()

    def _progress(self) -> int:
        """A number that changes with all data that the client lets through."""
        kept = sum(map(len, self.stream.unsent or ()))
        return (kept << 32) + self.stream.send_window


def _in_order(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def both() -> None:
        first()
        second()

    return both
