"""Holds what a handler sets for its response, and sends it."""

from typing import Any

import structlog
from grpc import Compression, StatusCode, aio

from notecast_wire.calls.call import Call
from notecast_wire.calls.outlet import StreamOutlet
from notecast_wire.rpc.messages import length_prefixed, length_prefixed_gzip
from notecast_wire.rpc.metadata import Headers, Metadata
from notecast_wire.rpc.methods import Method
from notecast_wire.rpc.status import OK_TRAILERS, PLAIN_HEADERS, CallError, response_headers

_log = structlog.get_logger(__name__)


class Response:
    """A call's response, for the code that runs the handler.

    Settings that few handlers use have their defaults on the class, so that others don't pay for
    them.

    Args:
        call: the call.
        method: its method.

    Attributes:
        outlet: writes the rest of the response, once the call was detached.
    """

    outlet: StreamOutlet | None = None
    _plain = True  # nothing was set that changes the headers or trailers of a good response
    _code = StatusCode.OK
    _details = ""
    _trailing: Metadata = ()
    _trailing_headers: Headers | None = None
    _compression: Compression | None = None
    _gzip = False
    _skip_compression = False
    _aborted = False

    def __init__(self, call: Call, method: Method) -> None:
        self._call = call
        self._method = method

    @property
    def method(self) -> str:
        """The method's path."""
        return self._method.name

    @property
    def log_fields(self) -> dict[str, str]:
        """The call's connection, as fields of a log line."""
        return self._call.log_fields

    def deserialized(self, message: bytes) -> Any:  # noqa: ANN401 - what the method takes
        """Deserialises a request.

        Raises:
            CallError: INTERNAL; it can't be deserialised (gRPC's doc/statuscodes.md).
        """
        try:
            return self._method.deserialize(message)
        except Exception as error:
            # The client's fault, and it may send many of these: no error level, and no stack.
            _log.info(
                "request_unreadable",
                method=self._method.name,
                fault=type(error).__name__,
                **self.log_fields,
            )
            raise CallError(StatusCode.INTERNAL, "Exception deserializing request!") from error

    def finish_unary(self, response: Any) -> None:  # noqa: ANN401 - what the method gives
        """Ends a call whose response is one message, unless it has ended.

        Raises:
            CallError: the message is too large.
        """
        call = self._call
        if call.over:
            return
        if self._code is not StatusCode.OK:
            self.finish_stream()
            return
        data = self._serialized(response)
        sender = call.handle.sender
        if self._plain and not call.started and not call.handle.server.gzip:
            sender.respond(call.stream, PLAIN_HEADERS, length_prefixed(data), OK_TRAILERS)
            call.close()
            return
        if not call.started:
            self._begin([])
        sender.send_data(call.stream, self._packed(data))
        self.finish_stream()

    def finish_stream(self) -> None:
        """Ends a call whose messages were sent, unless it has ended or was detached."""
        if not self._call.over:
            self._call.finish(self._code, self._details, self._trailing_headers)

    def finish_failed(self, code: StatusCode, details: str) -> None:
        """Ends a call whose handler failed, unless it has ended."""
        if self.outlet is not None:
            self.outlet.end(code, details)
        elif not self._call.over:
            self._call.finish(code, details, self._trailing_headers)

    def _check_open(self) -> None:
        call = self._call
        if not call.over:
            return
        if self._aborted:
            raise aio.AbortError("Locally aborted.")
        if call.left:
            raise aio.InternalError("the client has left")
        raise aio.UsageError("RPC already finished.")

    def _begin(self, metadata: Headers) -> None:
        """Sends the headers, and decides whether messages are compressed."""
        call = self._call
        wanted = self._compression
        if wanted is None and call.handle.server.gzip:
            wanted = Compression.Gzip
        if wanted is Compression.Gzip:
            accepted = dict(call.headers).get(b"grpc-accept-encoding", b"")
            self._gzip = b"gzip" in [name.strip() for name in accepted.split(b",")]
        call.started = True
        plain = not (metadata or self._gzip)
        block = PLAIN_HEADERS if plain else response_headers(metadata, gzip=self._gzip)
        call.handle.sender.send_headers(call.stream, block)

    def _serialized(self, message: Any) -> bytes:  # noqa: ANN401 - what the method gives
        data = self._method.serialize(message)
        most = self._call.handle.server.options.max_send_message_bytes
        if len(data) > most:
            raise CallError(
                StatusCode.RESOURCE_EXHAUSTED,
                f"Sent message larger than max ({len(data)} vs. {most})",
            )
        return data

    def _packed(self, data: bytes) -> bytes:
        if not self._gzip or self._skip_compression:
            self._skip_compression = False
            return length_prefixed(data)
        return length_prefixed_gzip(data)
