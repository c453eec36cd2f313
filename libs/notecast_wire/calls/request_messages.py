"""The messages of one request that have come and that its handler has not read yet."""

import asyncio
from collections import deque
from typing import Final, Protocol, cast

from grpc import StatusCode, aio

from notecast_wire.calls.server_state import ConnectionHandle
from notecast_wire.fairness.shares import ShareRefusal
from notecast_wire.http2.stream import Stream
from notecast_wire.rpc.messages import (
    MessageError,
    MessageReader,
    MessageTooLargeError,
    RawMessage,
    unpack,
)
from notecast_wire.rpc.status import CallError, over_share

_MESSAGE_COST_BYTES: Final = 160  # memory of a waiting message besides its bytes


class _Call(Protocol):
    """The stream's owner, for as long as messages of its request are taken."""

    def throw(self, error: CallError) -> None:
        """Ends the call with a status at once."""


class RequestMessages:
    """Takes a request's data, and returns its messages to one reader at a time.

    The client's window is opened again as long as no complete message waits: a handler that does
    not read only stops its own client, after one window. Messages wait as they came, and are
    unpacked when they are read: so what waits is never more than was sent.

    Args:
        handle: its connection.
        stream: its stream.
        gzip: whether the request's headers allow compressed messages.
        each_in_time: the request has no time limit, but each of its messages must be complete
            within the server's `request_timeout`.

    Attributes:
        ended: whether the request is complete, or the call is over.
    """

    __slots__ = (
        "_each_in_time",
        "_gzip",
        "_handle",
        "_held",
        "_messages",
        "_reader",
        "_stream",
        "_timed",
        "_uncredited",
        "_waiter",
        "_waiting",
        "ended",
    )

    def __init__(
        self, handle: ConnectionHandle, stream: Stream, *, gzip: bool, each_in_time: bool
    ) -> None:
        self._handle = handle
        self._stream = stream
        self._gzip = gzip
        self._each_in_time = each_in_time
        self._timed = False
        self._reader = MessageReader(handle.server.options.max_receive_message_bytes)
        self._messages: deque[RawMessage] = deque()
        self._waiting = 0
        self._held = 0
        self._uncredited = 0
        self.ended = False
        self._waiter: asyncio.Future[None] | None = None

    def receive(self, data: bytes, size: int) -> None:
        """Takes the content of a DATA frame; `size` is its flow-controlled size.

        Raises:
            CallError: a message is too large or malformed.
        """
        try:
            messages = self._reader.feed(data)
        except (MessageError, MessageTooLargeError) as error:
            raise _call_error(error) from error
        self._messages += messages
        self._waiting += sum(map(_cost, messages))
        self._uncredited += size
        self._account()
        if self._each_in_time:
            self._watch_message(begun=bool(messages))
        if messages:
            self._wake()

    def end(self) -> None:
        """Handles the end of the request.

        Raises:
            CallError: the last message is incomplete.
        """
        if self._reader.held_bytes:
            raise CallError(StatusCode.INTERNAL, "the request ends within a message")
        self.ended = True
        self._wake()

    async def next(self) -> bytes | None:
        """Waits for the next message; None after the last one.

        Raises:
            CallError: it can't be unpacked.
            grpc.aio.UsageError: another read is under way.
        """
        while not self._messages and not self.ended:
            await self._more()
        return self._take() if self._messages else None

    async def only(self) -> bytes:
        """Waits for the end of a request that is no stream; returns its message.

        Raises:
            CallError: there is none, or more than one, or it can't be unpacked.
            grpc.aio.UsageError: another read is under way.
        """
        while not self.ended:
            await self._more()
        return self.take_only()

    def take_only(self) -> bytes:
        """Returns the single message of a request that has ended.

        Raises:
            CallError: see `only`.
        """
        if len(self._messages) != 1:
            # A cardinality violation (gRPC's doc/statuscodes.md).
            raise CallError(
                StatusCode.UNIMPLEMENTED,
                f"the method takes one message, and got {len(self._messages)}",
            )
        return self._take()

    def lose(self, _held: object, refusal: ShareRefusal) -> None:
        """Ends the call: too much is held for its client."""
        self._fail(over_share(refusal))

    def time_out(self) -> None:
        """Ends the call: a message is not complete in time. See `Call.time_out`."""
        self._timed = False
        seconds = self._handle.server.options.request_timeout
        text = f"a message of the request was not complete within {seconds:g} s"
        self._fail(CallError(StatusCode.DEADLINE_EXCEEDED, text))

    def close(self) -> None:
        """Drops all messages; a waiting reader gets the end of the request."""
        self._messages.clear()
        self._reader = MessageReader(0)
        self._waiting = 0
        self._account()
        self._stop_watching()
        self.ended = True
        self._wake()

    def _fail(self, error: CallError) -> None:
        cast(_Call, self._stream.call).throw(error)

    def _take(self) -> bytes:
        raw = self._messages.popleft()
        self._waiting -= _cost(raw)
        self._account()
        if self._each_in_time and not self._messages:
            self._watch_message(begun=True)
        if not raw.compressed:
            return raw.data
        if not self._gzip:
            raise CallError(
                StatusCode.INTERNAL, "a message is compressed, and no grpc-encoding says how"
            )
        try:
            return unpack(raw.data, self._handle.server.options.max_receive_message_bytes)
        except (MessageError, MessageTooLargeError) as error:
            raise _call_error(error) from error

    def _account(self) -> None:
        """Counts held bytes, and opens the window if the handler waits for the client."""
        held = self._waiting + self._reader.held_bytes
        if held != self._held:
            self._held = held
            self._handle.server.held_requests.hold(self, self, self._stream.client, held)
        if not self._messages and self._uncredited:
            self._handle.connection.consumed(self._stream, self._uncredited)
            self._uncredited = 0

    def _watch_message(self, *, begun: bool) -> None:
        """Bounds the time of an incomplete message.

        Not while complete ones wait to be read: then the closed window may keep its rest back.

        Args:
            begun: whether the message has just begun, or the handler has just begun to wait for it.
        """
        if not self._reader.held_bytes or self._messages:
            self._stop_watching()
        elif begun or not self._timed:
            self._timed = True
            self._handle.server.request_timeouts.start(self)

    def _stop_watching(self) -> None:
        if self._timed:
            self._timed = False
            self._handle.server.request_timeouts.discard(self)

    async def _more(self) -> None:
        if self._waiter is not None:
            raise aio.UsageError("another read is under way")
        self._waiter = self._handle.server.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _cost(message: RawMessage) -> int:
    return len(message.data) + _MESSAGE_COST_BYTES


def _call_error(error: MessageError | MessageTooLargeError) -> CallError:
    """Makes the status that gRPC's doc/statuscodes.md demands."""
    too_large = isinstance(error, MessageTooLargeError)
    return CallError(
        StatusCode.RESOURCE_EXHAUSTED if too_large else StatusCode.INTERNAL, str(error)
    )
