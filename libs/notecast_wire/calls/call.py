"""One call, from its headers to its status, as the connection sees it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from grpc import StatusCode, aio

from notecast_wire.calls.deadlines import Expiring
from notecast_wire.calls.request_messages import RequestMessages
from notecast_wire.calls.server_state import ConnectionHandle
from notecast_wire.calls.unsent_answer import outlive
from notecast_wire.fairness.call_shares import CallAccount
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import ShareRefusal
from notecast_wire.http2.stream import Stream, StreamOwner
from notecast_wire.rpc.messages import whole_message
from notecast_wire.rpc.metadata import Headers
from notecast_wire.rpc.methods import Method
from notecast_wire.rpc.status import CallError, over_share, trailers, trailers_only


class Successor(Expiring, StreamOwner, Protocol):
    """What takes over the stream and the deadline of a call that is detached."""


Serve = Callable[["Call", Any], Coroutine[Any, Any, None]]
"""What runs as a call's task: it is given the call and its method."""


class Call:
    """A call that has neither ended nor been detached.

    It is its stream's `call`, and is told what comes on it. Its handler's task begins with
    the whole request where that is one message, so nothing waits in a task for it.

    Args:
        handle: its connection.
        stream: its stream.
        headers: the request's.
        method: its method; None where only interceptors may know one.
        serve: what runs as its task.

    Attributes:
        account: has a place among the calls under way for it, to be given back; None: it has none.
        request_messages: what has come of the request; None where nothing has, or all of it in one
            piece.
        message: the request of a method that takes one, as it is to be deserialised.
        awaits_request: there is a bound on how long its request may take to be whole.
        task: the handler's, once it is started.
        entered: the task has begun to run. One that is cancelled before never does.
        on_close: what to call when the call is over.
        expires: the loop's time at which the deadline passes; None without one.
        started: response headers are out.
        over: the status is out, the client has left, or the call was detached.
        left: the client has left.
    """

    __slots__ = (
        "_serve",
        "_waiter",
        "account",
        "awaits_request",
        "due_tick",
        "entered",
        "expires",
        "handle",
        "headers",
        "left",
        "message",
        "method",
        "on_close",
        "over",
        "request_messages",
        "started",
        "stream",
        "task",
    )

    def __init__(
        self,
        handle: ConnectionHandle,
        stream: Stream,
        headers: Headers,
        method: Method | None,
        serve: Serve,
    ) -> None:
        self.handle = handle
        self.stream = stream
        self.headers = headers
        self.method = method
        self._serve = serve
        self.account: CallAccount | None = None
        self.request_messages: RequestMessages | None = None
        self.message: bytes | None = None
        self.awaits_request = False
        self.task: asyncio.Task[None] | None = None
        self.entered = False
        self.on_close: Callable[[], None] | None = None
        self.expires: float | None = None
        self.due_tick = 0
        self.started = False
        self.over = False
        self.left = False
        self._waiter: asyncio.Future[None] | None = None
        handle.server.open_calls += 1

    @property
    def client(self) -> ClientId:
        """Whom the call comes from, behind a trusted proxy, too."""
        return self.stream.client

    @property
    def log_fields(self) -> dict[str, str]:
        """Its connection, as fields of a line of the log."""
        return self.handle.origin.fields(self.stream.client)

    def begin(self, *, ended: bool) -> None:
        """Starts the task already where it reads the request itself; takes an early end."""
        if self.method is None or self.method.reads_many:
            self._open_request_messages()
            self._start()
        if ended:
            self.request_ended()

    def await_request(self) -> None:
        """Bounds how long the request may take to be whole, and how many of its client's do.

        Not part of `begin`: most requests are whole with what came together with their headers.
        Those of a stream have a place among the calls under way for so long.
        """
        if self.task is None and not self.over:
            self.limit_request()
            if self.account is None and not (self.method is not None and self.method.asks_health):
                account = self.handle.server.call_shares.account_of(self.stream.client)
                if refusal := account.take():
                    self.throw(over_share(refusal))
                else:
                    self.account = account

    def limit_request(self) -> None:
        """Bounds how long the request may take to be whole."""
        self.awaits_request = True
        self.handle.server.request_timeouts.start(self)

    def set_deadline(self, seconds: float) -> None:
        """Ends the call with DEADLINE_EXCEEDED after so long, up to 10 ms more."""
        server = self.handle.server
        self.expires = server.loop.time() + seconds
        server.deadlines.add(self, self.expires)

    def data_received(self, data: bytes, size: int, *, ended: bool) -> None:
        """Takes what a DATA frame has brought: see `DataReceived`."""
        if ended and self.request_messages is None:
            message = whole_message(data)
            limit = self.handle.server.options.max_receive_message_bytes
            if message is not None and len(message) <= limit:
                self.message = message
                self._start()
                return
        try:
            (self.request_messages or self._open_request_messages()).receive(data, size)
        except CallError as error:
            self.throw(error)
            return
        if ended:
            self.request_ended()

    def request_ended(self) -> None:
        """The request is whole."""
        if self.awaits_request:
            self._request_came()
        request_messages = self.request_messages or self._open_request_messages()
        try:
            request_messages.end()
            if self.task is None:
                self.message = request_messages.take_only()
                self._start()
        except CallError as error:
            self.throw(error)

    def time_out(self) -> None:
        """The request is not whole in time.

        DEADLINE_EXCEEDED rather than CANCELLED, which is the caller's own doing: a time has
        expired before the operation could complete (gRPC's doc/statuscodes.md).
        """
        seconds = self.handle.server.options.request_timeout
        text = f"the request was not whole within {seconds:g} s"
        self.throw(CallError(StatusCode.DEADLINE_EXCEEDED, text))

    def stream_ended(self) -> None:
        """The client has left, or was thrown out."""
        self.left = True
        self.close()
        self._cancel()

    def writable(self) -> None:
        """What was sent is out."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def expire(self) -> None:
        """The deadline has passed."""
        self.throw(CallError(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def lose(self, refusal: ShareRefusal) -> None:
        """Too much that waits to be sent is held for its client."""
        self.throw(over_share(refusal))

    def stop(self, why: str) -> None:
        """The server or the connection ends."""
        self.throw(CallError(StatusCode.UNAVAILABLE, why))

    def throw(self, error: CallError) -> None:
        """Ends the call with a status at once, whatever waits to be sent, and its task with it."""
        self.handle.sender.drop_unsent(self.stream)
        self.finish(error.code, error.details, error.metadata)
        self._cancel()

    async def send(self, data: bytes) -> None:
        """Sends DATA, and returns once all of it is on its way.

        Raises:
            grpc.aio.UsageError: another write is under way.
            grpc.aio.InternalError: the call ended meanwhile, for another task than its own.
        """
        if self._waiter is not None:
            raise aio.UsageError("another write is under way")
        if self.handle.sender.send_data(self.stream, data):
            if self.handle.wrote(len(data)):
                await asyncio.sleep(0)
            return
        self._waiter = self.handle.server.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def finish(self, code: StatusCode, details: str = "", metadata: Headers | None = None) -> None:
        """Sends the status behind what was sent; the call is over with that."""
        sender = self.handle.sender
        if self.started:
            sender.send_trailers(self.stream, trailers(code, details, metadata or []))
        else:
            block = trailers_only(code, details, metadata or [])
            sender.send_headers(self.stream, block, end_stream=True)
        self.close()

    def close(self) -> None:
        """The call is over for its handler, and nobody waits for it any more.

        Its deadline goes on where data are kept that the client has yet to take.
        """
        server = self.handle.server
        server.open_calls -= 1
        if self.account is not None:
            self._leave_place(self.account)
        self._release()
        if self.due_tick or self.stream.unsent is not None:
            outlive(self, self.handle, self.stream)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(aio.InternalError("the call has ended"))
        if self.on_close is not None:
            self.on_close()

    def detach(self, successor: Successor) -> None:
        """Lets another have the stream, the deadline and the place among the open calls."""
        if self.due_tick:
            self.handle.server.deadlines.replace(self, successor)
        self._release()
        self.stream.call = successor
        self.handle.make_room()

    def _request_came(self) -> None:
        self.awaits_request = False
        self.handle.server.request_timeouts.discard(self)
        if self.account is not None and not (self.method is not None and self.method.counted):
            self._leave_place(self.account)

    def _leave_place(self, account: CallAccount) -> None:
        self.account = None
        account.give_back()

    def _release(self) -> None:
        self.over = True
        self.stream.call = None
        if self.awaits_request:
            self._request_came()
        if self.request_messages is not None:
            self.request_messages.close()

    def _open_request_messages(self) -> RequestMessages:
        gzip = dict(self.headers).get(b"grpc-encoding") == b"gzip"
        one = self.method is None or not self.method.reads_many
        self.request_messages = RequestMessages(
            self.handle, self.stream, gzip=gzip, each_in_time=not one
        )
        return self.request_messages

    def _start(self) -> None:
        server = self.handle.server
        if self.awaits_request:
            self._request_came()
        name = None if self.method is None else self.method.name
        self.task = server.loop.create_task(self._serve(self, self.method), name=name)
        server.running.add(self)

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()
            if not self.entered:
                self.handle.server.running.discard(self)
