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
    """An object that takes over the stream and the deadline of a detached call."""


Serve = Callable[["Call", Any], Coroutine[Any, Any, None]]
"""Runs as a call's task, with the call and its method."""


class Call:
    """A call that has neither ended nor been detached.

    It is its stream's `call`, and is told of what comes on the stream. If the request is one
    message, the handler's task starts once it is complete, so no task waits for it.

    Args:
        handle: its connection.
        stream: its stream.
        headers: the request's headers.
        method: its method; None if only interceptors may know it.
        serve: runs as its task.

    Attributes:
        account: the account in which it counts as under way, to give back; None: it does not count.
        request_messages: what has come of the request; None where nothing has, or all of it in one
            piece.
        message: the single message of the request, serialised.
        awaits_request: whether the time for its request to be complete is bounded.
        task: the handler's task, once it is started.
        entered: whether the task has begun to run. One that is cancelled before never does.
        on_close: called when the call is over.
        expires: the loop's time at which the deadline passes; None: there is none.
        started: whether response headers are out.
        over: whether the status is out, the client has left, or the call was detached.
        left: whether the client has left.
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
        """The client of the call, even behind a trusted proxy."""
        return self.stream.client

    @property
    def log_fields(self) -> dict[str, str]:
        """Its connection, as fields of a log line."""
        return self.handle.origin.fields(self.stream.client)

    def begin(self, *, ended: bool) -> None:
        """Starts the task if it reads the request itself; handles a request without a body."""
        if self.method is None or self.method.reads_many:
            self._open_request_messages()
            self._start()
        if ended:
            self.request_ended()

    def await_request(self) -> None:
        """Bounds the time for the request to be complete, and the number of such requests.

        Not part of `begin`, because most requests are complete with the data that came with their
        headers. The request of a streaming method counts as a call under way for this time.
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
        """Bounds the time for the request to be complete."""
        self.awaits_request = True
        self.handle.server.request_timeouts.start(self)

    def set_deadline(self, seconds: float) -> None:
        """Ends the call with DEADLINE_EXCEEDED after `seconds`, or up to 10 ms later."""
        server = self.handle.server
        self.expires = server.loop.time() + seconds
        server.deadlines.add(self, self.expires)

    def data_received(self, data: bytes, size: int, *, ended: bool) -> None:
        """Takes the content of a DATA frame; see `DataReceived`."""
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
        """Handles the end of the request."""
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
        """Ends the call: its request is not complete in time.

        With DEADLINE_EXCEEDED, because a time has expired before the operation could complete
        (gRPC's doc/statuscodes.md); CANCELLED would be the caller's own doing.
        """
        seconds = self.handle.server.options.request_timeout
        text = f"the request was not complete within {seconds:g} s"
        self.throw(CallError(StatusCode.DEADLINE_EXCEEDED, text))

    def stream_ended(self) -> None:
        """Ends the call: the client has left, or its stream was reset."""
        self.left = True
        self.close()
        self._cancel()

    def writable(self) -> None:
        """Wakes the handler: its message is out."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def expire(self) -> None:
        """Ends the call: its deadline has passed."""
        self.throw(CallError(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"))

    def lose(self, refusal: ShareRefusal) -> None:
        """Ends the call: too much unsent data is held for its client."""
        self.throw(over_share(refusal))

    def stop(self, why: str) -> None:
        """Ends the call: the server or the connection ends."""
        self.throw(CallError(StatusCode.UNAVAILABLE, why))

    def throw(self, error: CallError) -> None:
        """Ends the call and its task at once with a status; drops unsent data."""
        self.handle.sender.drop_unsent(self.stream)
        self.finish(error.code, error.details, error.metadata)
        self._cancel()

    async def send(self, data: bytes) -> None:
        """Sends DATA, and returns once all of it is on its way.

        Raises:
            grpc.aio.UsageError: another write is under way.
            grpc.aio.InternalError: the call ended in the meantime, in another task.
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
        """Sends the status after what was sent; this ends the call."""
        sender = self.handle.sender
        if self.started:
            sender.send_trailers(self.stream, trailers(code, details, metadata or []))
        else:
            block = trailers_only(code, details, metadata or [])
            sender.send_headers(self.stream, block, end_stream=True)
        self.close()

    def close(self) -> None:
        """Ends the call for its handler, and for all that wait for it.

        Its deadline continues while data are unsent that the client has yet to take.
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
        """Passes the stream, the deadline and the place among open calls to a successor."""
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
