"""Runs a call's handler as a task, from the request to the status."""

import asyncio
from contextlib import aclosing
from typing import Any, Self

import structlog
from grpc import StatusCode, aio

from notecast_wire.calls.call import Call
from notecast_wire.calls.context import Context
from notecast_wire.rpc.metadata import MalformedMetadataError
from notecast_wire.rpc.methods import Method
from notecast_wire.rpc.status import CallError

_log = structlog.get_logger(__name__)


class _Requests:
    """Iterates over the messages of a streaming request."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:  # noqa: ANN401 - what the method's deserialiser makes
        request = await self._context.read()
        if request is aio.EOF:
            raise StopAsyncIteration
        return request


async def answer(call: Call, method: Method) -> None:
    """Runs the method's handler, and ends the call unless it was detached."""
    call.entered = True
    context = Context(call, method)
    try:
        if method.reads_many:
            request: Any = _Requests(context)
        else:
            message = call.message
            request = context.deserialized(await _late(call) if message is None else message)
        if not method.writes_many:
            context.finish_unary(await method.behaviour(request, context))
        elif method.generates:
            await _send_all(method.behaviour(request, context), context)
            context.finish_stream()
        else:
            await method.behaviour(request, context)
            context.finish_stream()
    except asyncio.CancelledError:
        # If the call is still open, the handler cancelled itself.
        context.finish_failed(StatusCode.CANCELLED, "the handler was cancelled")
        raise
    except Exception as error:
        _conclude(call, context, error)
    finally:
        call.handle.server.running.discard(call)
        call.task = None


async def _late(call: Call) -> bytes:
    """Waits for the request of a method that was unknown when the call began."""
    assert call.request_messages is not None  # noqa: S101 - such calls begin with one
    if not call.request_messages.ended:
        call.limit_request()
    return await call.request_messages.only()


async def _send_all(responses: Any, context: Context) -> None:  # noqa: ANN401 - a generator
    async with aclosing(responses):
        async for response in responses:
            await context.write(response)


def _conclude(call: Call, context: Context, error: Exception) -> None:
    """Ends the call with the status for an error of its handler."""
    if isinstance(error, CallError):
        context.finish_failed(error.code, error.details)
    elif isinstance(error, MalformedMetadataError):
        context.finish_failed(StatusCode.INTERNAL, str(error))
    elif not (call.over and context.outlet is None and isinstance(error, aio.BaseError)):
        # Otherwise it was aborted, or the client has left.
        _log.exception("call_failed", method=context.method, **context.log_fields)
        code = context.code()
        context.finish_failed(
            StatusCode.UNKNOWN if code is StatusCode.OK else code,
            f"Unexpected {type(error)}: {error}",
        )
