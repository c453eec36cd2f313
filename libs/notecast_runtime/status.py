"""Turns errors into gRPC statuses with details; no other module does."""

from __future__ import annotations  # some types of grpc take parameters only for checkers

from collections.abc import Awaitable, Callable, Mapping
from inspect import isasyncgenfunction
from typing import Any, NamedTuple, NoReturn, TypeAlias

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import aio

from notecast_runtime.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    LimitReachedError,
    NotecastError,
    NoteIdTakenError,
    UnavailableError,
)
from notecast_runtime.unreadable import fault_of
from notecast_wire import MethodInterceptor
from notecast_wire.calls.context import Context as WireContext
from notecast_wire.calls.peers import Origin

DOMAIN = "notecast.v1"
"""The `domain` of every google.rpc.ErrorInfo."""

_DETAILS_KEY = "grpc-status-details-bin"

_log = structlog.get_logger(__name__)


def status_of(error: NotecastError) -> status_pb2.Status:
    """Makes the status with its details: ErrorInfo, and BadRequest or RetryInfo if they apply."""
    info = error_details_pb2.ErrorInfo(
        reason=error.reason, domain=DOMAIN, metadata=dict(error.metadata)
    )
    details: list[Message] = [info]
    if isinstance(error, InvalidRequestError):
        code = code_pb2.INVALID_ARGUMENT
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=violation.field, description=violation.fault
                    )
                    for violation in error.violations
                ]
            )
        )
    elif isinstance(error, NoteIdTakenError):
        code = code_pb2.ALREADY_EXISTS
    elif isinstance(error, DeadlineExceededError):
        code = code_pb2.DEADLINE_EXCEEDED
    elif isinstance(error, LimitReachedError):
        code = code_pb2.RESOURCE_EXHAUSTED
        details.append(_retry_info(error.retry_after_seconds))
    elif isinstance(error, UnavailableError):
        code = code_pb2.UNAVAILABLE
        details.append(_retry_info(error.retry_after_seconds))
    else:
        code = code_pb2.INTERNAL
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return status_pb2.Status(code=code, message=str(error), details=packed)


def _retry_info(seconds: float) -> error_details_pb2.RetryInfo:
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(round(seconds * 1000))
    return error_details_pb2.RetryInfo(retry_delay=delay)


_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Ending(NamedTuple):
    """The ending of a call."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...] = ()


OK = Ending(grpc.StatusCode.OK, "")
"""The ending of a call that succeeded."""


def ending_of(error: NotecastError) -> Ending:
    """Makes the error's status, with its details in the trailing metadata."""
    status = status_of(error)
    metadata = ((_DETAILS_KEY, status.SerializeToString()),)
    return Ending(_CODES[status.code], status.message, metadata)


def reason_of(error: aio.AioRpcError) -> str:
    """Returns the reason in the details of another service's error; empty if it has none."""
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            info = error_details_pb2.ErrorInfo()
            for packed in status_pb2.Status.FromString(value).details:
                if packed.Unpack(info) and info.domain == DOMAIN:
                    return str(info.reason)
    return ""


async def abort(context: aio.ServicerContext[Any, Any], error: NotecastError) -> NoReturn:
    """Ends a call with the error's status."""
    code, details, trailing_metadata = ending_of(error)
    await context.abort(code, details, trailing_metadata=trailing_metadata)


Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class ErrorInterceptor(MethodInterceptor):
    """Lets servicers raise NotecastError: the caller gets its status.

    Any other exception is a bug. It is logged with its stack, and the caller gets INTERNAL without
    any detail. Two cases are no bugs: a client that has left, and a single request that can't be
    parsed; its caller gets INVALID_REQUEST. Only for methods whose handler is a coroutine; an async
    generator is left as it is.
    """

    def __init__(self) -> None:
        # By method: its registered handler, and the wrapped one, made once for all calls.
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the method's handler, if there is one."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, _wrapped(handler, method))
        return known[1]


def _wrapped(handler: Handler, method: str) -> Handler:
    deserialize = handler.request_deserializer
    make: Any
    if handler.request_streaming:
        make, behaviour = (
            (grpc.stream_stream_rpc_method_handler, handler.stream_stream)
            if handler.response_streaming
            else (grpc.stream_unary_rpc_method_handler, handler.stream_unary)
        )
    else:
        make, behaviour = (
            (grpc.unary_stream_rpc_method_handler, handler.unary_stream)
            if handler.response_streaming
            else (grpc.unary_unary_rpc_method_handler, handler.unary_unary)
        )
        deserialize = deserialize and _sparing(deserialize)
    if isasyncgenfunction(behaviour):
        return handler
    wrapped: Handler = make(
        _translating(behaviour, method, _kind(handler)),
        request_deserializer=deserialize,
        response_serializer=handler.response_serializer,
    )
    return wrapped


class _Unparsed(NamedTuple):
    """A request that could not be parsed."""

    data: bytes


def _sparing(deserialize: Any) -> Any:  # noqa: ANN401 - any method's
    """Wraps a deserialiser so that it raises nothing: servers would answer INTERNAL."""

    def deserialized(data: bytes) -> Any:  # noqa: ANN401 - what the method takes
        try:
            return deserialize(data)
        except Exception:
            return _Unparsed(data)

    return deserialized


def _kind(handler: Handler) -> Any:  # noqa: ANN401 - a Descriptor, or None
    """The descriptor of the method's request, if its deserialiser is a message's."""
    return getattr(getattr(handler.request_deserializer, "__self__", None), "DESCRIPTOR", None)


def _translating(behaviour: Any, method: str, kind: Any) -> Any:  # noqa: ANN401 - any handler
    async def translated(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:  # noqa: ANN401
        try:
            if type(request) is _Unparsed:
                raise fault_of(request.data, kind)  # noqa: TRY301 - as the handler would
            return await behaviour(request, context)
        except NotecastError as error:
            await abort(context, error)
        except (aio.AbortError, aio.InternalError):  # aborted, or the client has left
            raise
        except Exception:
            _log.exception("call_failed", method=method, **_origin(context))
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")

    return translated


def _origin(context: aio.ServicerContext[Any, Any]) -> Mapping[str, str]:
    """A call's connection, as fields of a log line."""
    if isinstance(context, WireContext):
        return context.log_fields
    return Origin(context.peer()).fields()
