"""Dispatches requests to handlers, or refuses them."""

from __future__ import annotations  # grpc's types take parameters only for checkers

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import grpc
import structlog
from grpc import StatusCode, aio

from notecast_wire.calls.call import Call
from notecast_wire.calls.server_state import ConnectionHandle
from notecast_wire.fairness.call_shares import CallAccount
from notecast_wire.http2.events import RequestBegun
from notecast_wire.http2.stream import Stream
from notecast_wire.rpc.interceptors import MethodInterceptor
from notecast_wire.rpc.metadata import (
    Headers,
    MalformedMetadataError,
    MalformedTimeoutError,
    Metadatum,
    decode_metadata,
    parse_timeout,
)
from notecast_wire.rpc.methods import Method
from notecast_wire.rpc.status import (
    ACCEPTED_ENCODINGS,
    GRPC,
    CallError,
    is_grpc,
    over_share,
    trailers_only,
)
from notecast_wire.server.call_task import answer
from notecast_wire.server.http_errors import (
    METHOD_NOT_ALLOWED,
    UNSUPPORTED_MEDIA_TYPE,
    send_http_error,
)

_log = structlog.get_logger(__name__)

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_ENCODINGS: Final = (None, *ACCEPTED_ENCODINGS.split(b","))
_NOT_FOUND: Final = CallError(StatusCode.UNIMPLEMENTED, "Method not found!")


class _CallDetails(grpc.HandlerCallDetails):
    """The details of a call for interceptors and generic handlers."""

    def __init__(self, method: str, headers: Headers) -> None:
        self.method = method
        self._headers = headers

    @property
    def invocation_metadata(self) -> tuple[Metadatum, ...]:  # type: ignore[override]
        """Decodes the client's metadata; raises MalformedMetadataError."""
        return decode_metadata(self._headers)


class Dispatcher:
    """Knows the methods, and begins their calls.

    Args:
        interceptors: asked in this order; each passes on to the next.
        maximum_concurrent_rpcs: further calls are refused; None: no bound.
    """

    def __init__(
        self,
        interceptors: Sequence[aio.ServerInterceptor] = (),
        maximum_concurrent_rpcs: int | None = None,
    ) -> None:
        self._interceptors = tuple(interceptors)
        self._once_a_method = all(
            isinstance(interceptor, MethodInterceptor) for interceptor in interceptors
        )
        self._most_calls = maximum_concurrent_rpcs
        self._generic: list[grpc.GenericRpcHandler] = []
        self._handlers: dict[str, Handler] = {}
        self._methods: dict[bytes, Method] = {}
        self._direct: dict[bytes, Method] = {}

    def add_generic(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Adds handlers that tell themselves which methods they know."""
        self._generic += handlers

    def add_registered(self, handlers: Mapping[str, Handler]) -> None:
        """Adds handlers of methods, by path; they take precedence over generic ones."""
        for name, handler in handlers.items():
            path = name.encode()
            self._handlers[name] = handler
            self._methods[path] = Method(name, handler)
            if not self._interceptors:
                self._direct[path] = self._methods[path]

    def begin(self, handle: ConnectionHandle, event: RequestBegun) -> None:
        """Begins the call of a request, or answers with an error."""
        stream, headers, ended = event
        fields = dict(headers)
        if fields[b":method"] != b"POST":
            send_http_error(handle, event, METHOD_NOT_ALLOWED)
            return
        content_type = fields.get(b"content-type", b"")
        if content_type != GRPC and not is_grpc(content_type):
            send_http_error(handle, event, UNSUPPORTED_MEDIA_TYPE)
            return
        try:
            call = self._call(handle, stream, headers, fields)
        except CallError as error:
            block = trailers_only(error.code, error.details, error.metadata)
            handle.sender.send_headers(stream, block, end_stream=True)
            return
        stream.call = call
        call.begin(ended=ended)

    def _call(
        self, handle: ConnectionHandle, stream: Stream, headers: Headers, fields: dict[bytes, bytes]
    ) -> Call:
        if self._most_calls is not None and handle.server.open_calls >= self._most_calls:
            raise CallError(StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
        encoding = fields.get(b"grpc-encoding")
        if encoding not in _ENCODINGS:
            accepted = ACCEPTED_ENCODINGS.decode()
            raise CallError(StatusCode.UNIMPLEMENTED, f"grpc-encoding is not one of {accepted}")
        timeout = fields.get(b"grpc-timeout")
        seconds = None if timeout is None else _seconds(timeout)
        path = fields[b":path"]
        method = self._direct.get(path)
        if method is not None:
            account = _place(handle, stream) if method.counted else None
            call = Call(handle, stream, headers, method, answer)
            call.account = account
        else:
            call = self._indirect_call(handle, stream, headers, path.decode("latin-1"))
        if seconds is not None:
            call.set_deadline(seconds)
        return call

    def _indirect_call(
        self, handle: ConnectionHandle, stream: Stream, headers: Headers, name: str
    ) -> Call:
        try:
            method = self._find(_CallDetails(name, headers))
        except MalformedMetadataError as error:
            raise CallError(StatusCode.INTERNAL, str(error)) from error
        except Exception as error:
            _log.exception("method_unusable", method=name, **handle.origin.fields(stream.client))
            raise CallError(StatusCode.INTERNAL, "the method's handler is unusable") from error
        if method is None and not self._interceptors:
            raise _NOT_FOUND
        account = _place(handle, stream) if method is not None and method.counted else None
        run = self._answer_intercepted if self._interceptors else answer
        call = Call(handle, stream, headers, method, run)
        call.account = account
        return call

    def _find(self, details: grpc.HandlerCallDetails) -> Method | None:
        """The method that the interceptors return."""
        method = self._methods.get(details.method.encode())
        if method is not None:
            return method
        handler = self._find_generic(details)
        return None if handler is None else Method(details.method, handler)

    def _find_generic(self, details: grpc.HandlerCallDetails) -> Handler | None:
        for generic in self._generic:
            handler = generic.service(details)
            if handler is not None:
                return handler
        return None

    async def _answer_intercepted(self, call: Call, method: Method | None) -> None:
        """Runs as the task of a call for which interceptors must be asked."""
        call.entered = True
        try:
            found = await self._intercepted(call, method)
        except CallError as error:
            if not call.over:
                call.finish(error.code, error.details)
        except asyncio.CancelledError:
            if not call.over:
                call.finish(StatusCode.CANCELLED, "an interceptor was cancelled")
            raise
        else:
            await answer(call, found)
        finally:
            call.handle.server.running.discard(call)

    async def _intercepted(self, call: Call, method: Method | None) -> Method:
        path = dict(call.headers)[b":path"]
        details = _CallDetails(path.decode("latin-1"), call.headers)
        try:
            handler = await self._ask(0, details)
            found = None if handler is None else Method(details.method, handler)
        except MalformedMetadataError as error:
            raise CallError(StatusCode.INTERNAL, str(error)) from error
        except Exception as error:
            _log.exception("interceptor_failed", method=details.method, **call.log_fields)
            text = f"Unexpected {type(error)}: {error}"
            raise CallError(StatusCode.UNKNOWN, text) from error
        if found is None:
            raise _NOT_FOUND
        if method is not None and method.reads_many != found.reads_many:
            raise CallError(StatusCode.INTERNAL, "an interceptor has changed the method's kind")
        if self._once_a_method and path in self._methods:
            self._direct[path] = found
        return found

    async def _ask(self, place: int, details: grpc.HandlerCallDetails) -> Handler | None:
        """Asks the interceptors from one index on, and then the registered handlers."""
        if place == len(self._interceptors):
            return self._handlers.get(details.method) or self._find_generic(details)
        return await self._interceptors[place].intercept_service(
            partial(self._ask, place + 1), details
        )


def _place(handle: ConnectionHandle, stream: Stream) -> CallAccount:
    """Counts a call in the account of its client; returns the account.

    Raises:
        CallError: RESOURCE_EXHAUSTED; the bound is reached.
    """
    account = handle.server.call_shares.account_of(stream.client)
    if refusal := account.take():
        raise over_share(refusal)
    return account


def _seconds(timeout: bytes) -> float:
    try:
        return parse_timeout(timeout)
    except MalformedTimeoutError as error:
        raise CallError(StatusCode.INTERNAL, str(error)) from error
