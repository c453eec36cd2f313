"""The context of a handler: this server's `grpc.aio.ServicerContext`."""

from __future__ import annotations  # grpc's types take parameters only for checkers

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import grpc
import structlog
from grpc import Compression, StatusCode, aio

from notecast_wire.calls.outlet import StreamOutlet
from notecast_wire.calls.peers import AuthContext, auth_context, identity_key
from notecast_wire.calls.response import Response
from notecast_wire.fairness.clients import ClientId
from notecast_wire.rpc.metadata import Metadata, Metadatum, decode_metadata, encode_metadata
from notecast_wire.rpc.status import status_code

_log = structlog.get_logger(__name__)

DoneCallback = Callable[["Context"], None]


class Context(Response, aio.ServicerContext[Any, Any]):
    """A call, as its handler sees it.

    It does what `grpc.aio.ServicerContext` says, where nothing else is said here, and
    `detach` and `client` besides.
    """

    _callbacks: list[DoneCallback] | None = None

    async def read(self) -> Any:  # noqa: ANN401 - what the method's deserialiser makes
        """Reads the next message of the request; `grpc.aio.EOF` after the last one.

        Raises:
            grpc.aio.UsageError: the method takes one message, not a stream, or another read is
                under way.
        """
        request_messages = self._call.request_messages
        if request_messages is None or not self._method.reads_many:
            raise aio.UsageError("the method takes one message: there is nothing to read")
        message = await request_messages.next()
        return aio.EOF if message is None else self.deserialized(message)

    async def write(self, message: Any) -> None:  # noqa: ANN401 - what its serialiser takes
        """Sends one message of a response that is a stream.

        Returns once it is on its way: a client that does not read blocks its handler here.

        Raises:
            grpc.aio.UsageError: the response is no stream, or another write is under way, or the
                call has ended or was detached.
            grpc.aio.InternalError: the client has left.
        """
        if not self._method.writes_many:
            raise aio.UsageError("the method answers with one message: return it")
        self._check_open()
        data = self._serialized(message)
        if not self._call.started:
            self._begin([])
        await self._call.send(self._packed(data))

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """Sends the response's headers now, with this metadata.

        Raises:
            grpc.aio.UsageError: they were sent before, or the call has ended.
            grpc.aio.InternalError: the client has left.
            ValueError: metadata that may not be sent.
        """
        self._check_open()
        if self._call.started:
            raise aio.UsageError("Send initial metadata failed: already sent")
        self._begin(encode_metadata(initial_metadata))

    def detach(self) -> StreamOutlet:
        """Detaches the call from its handler; an outlet writes the rest of the response.

        For methods with one request and a stream of responses. From now on the call ends when
        the outlet ends it, the client leaves, the deadline passes or the server stops. The
        handler should return at once; what it returns is ignored. Its task, the request and this
        context are freed with it: an idle stream costs little more than its outlet. Sends the
        response headers if they were not sent before.

        Raises:
            grpc.aio.UsageError: another kind of method, or a call that has ended.
        """
        if self._method.reads_many or not self._method.writes_many:
            raise aio.UsageError(
                "only a call with one request and a stream of responses can be detached"
            )
        call = self._call
        if call.over and not call.left:
            raise aio.UsageError("the call has ended")
        if not (call.over or call.started):
            self._begin([])
        self.outlet = outlet = StreamOutlet(call.handle, call.stream)
        if call.over:
            outlet.done = True  # the client left while the handler ran; the outlet says so
        else:
            for callback in self._callbacks or ():
                outlet.on_done(partial(callback, self))
            call.detach(outlet)
        return outlet

    async def abort(
        self, code: StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> NoReturn:
        """Ends the call with a status, and the handler with an error that it must let through.

        Raises:
            grpc.aio.AbortError: always, once the status is out.
            grpc.aio.UsageError: it was aborted before, or has ended.
            grpc.aio.InternalError: the client has left.
            ValueError: the code is OK, or metadata may not be sent.
        """
        if self._aborted:
            raise aio.UsageError("Abort already called!")
        self._check_open()
        code = status_code(code)
        if code is StatusCode.OK:
            raise ValueError("Expecting non-ok status code.")
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)
        self._aborted = True
        self._code = code
        self._details = details or self._details
        self._call.finish(code, self._details, self._trailing_headers)
        raise aio.AbortError("Locally aborted.")

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """Ends the call with a `grpc.Status`; see `abort`."""
        await self.abort(status.code, status.details, status.trailing_metadata or ())

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        """Sets the metadata to send with the status.

        Raises:
            ValueError: metadata that may not be sent; TypeError: a `-bin` value that is not bytes.
        """
        self._trailing_headers = encode_metadata(trailing_metadata)
        self._trailing = trailing_metadata
        self._plain = False

    def trailing_metadata(self) -> Metadata:  # type: ignore[override]  # the stubs know one type
        """The metadata that `set_trailing_metadata` was given."""
        return self._trailing

    def invocation_metadata(self) -> tuple[Metadatum, ...]:  # type: ignore[override]
        """Decodes the client's metadata.

        Raises:
            MalformedMetadataError: a `-bin` value is not Base64. Let through, it ends the call
                with INTERNAL.
        """
        return decode_metadata(self._call.headers)

    def set_code(self, code: StatusCode) -> None:
        """Sets the status to end with, unless the handler fails. Without OK, no message is sent."""
        self._code = status_code(code)
        self._plain = False

    def code(self) -> StatusCode:
        """The status to end with."""
        return self._code

    def set_details(self, details: str) -> None:
        """Sets the text of the status."""
        self._details = details
        self._plain = False

    def details(self) -> str:
        """The text of the status."""
        return self._details

    def set_compression(self, compression: Compression) -> None:
        """Sets the compression of messages, if the client accepts it: Gzip or NoCompression.

        Raises:
            RuntimeError: the response has begun.
            ValueError: Deflate, which this server has not.
        """
        if self._call.started:
            raise RuntimeError(
                "Compression setting must be specified before sending initial metadata"
            )
        if compression not in (Compression.NoCompression, Compression.Gzip):
            raise ValueError(f"{compression!r} is not supported")
        self._compression = compression
        self._plain = False

    def disable_next_message_compression(self) -> None:
        """Sends the next message as it is."""
        self._skip_compression = True
        self._plain = False

    def peer(self) -> str:
        """The peer's address: `ipv4:1.2.3.4:5`, `ipv6:%5B::1%5D:5`, or `unix:`."""
        return self._call.handle.origin.peer

    def client(self) -> ClientId:
        """The client of the call: if `peer` is a trusted proxy, the client behind it."""
        return self._call.client

    def auth_context(self) -> AuthContext:
        """The security of the connection, and the content of the client's certificate."""
        return auth_context(self._call.handle.transport)

    def peer_identity_key(self) -> str | None:
        """The entry of `auth_context` that names the client; None without a certificate."""
        return identity_key(self.auth_context())

    def peer_identities(self) -> tuple[bytes, ...] | None:
        """The names in the client's certificate; None without one."""
        context = self.auth_context()
        key = identity_key(context)
        return None if key is None else context[key]

    def time_remaining(self) -> float | None:  # type: ignore[override]  # None where none was set
        """Seconds until the deadline, 0 once it has passed; None without one."""
        call = self._call
        if call.expires is None:
            return None
        return max(0.0, call.expires - call.handle.server.loop.time())

    def add_done_callback(self, callback: DoneCallback) -> None:
        """Calls the callback with this context once the call has ended in any way."""
        if self.done():
            self._call.handle.server.loop.call_soon(callback, self)
        elif self.outlet is not None:
            self.outlet.on_done(partial(callback, self))
        else:
            self._callbacks = [*(self._callbacks or ()), callback]
            self._call.on_close = self._tell_done

    def cancelled(self) -> bool:
        """Whether the client has left."""
        return self._call.left

    def done(self) -> bool:
        """Whether the call has ended: the status is out, or the client has left."""
        return self._call.over if self.outlet is None else self.outlet.done

    def _tell_done(self) -> None:
        for callback in self._callbacks or ():
            try:
                callback(self)
            except Exception:
                _log.exception("done_callback_failed", method=self._method.name, **self.log_fields)
