"""A method of a server: its handler, and how to call it."""

from __future__ import annotations  # grpc's types take parameters only for checkers

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final

import grpc

_COROUTINE: Final = inspect.CO_COROUTINE
_ASYNC_GENERATOR: Final = inspect.CO_ASYNC_GENERATOR


async def _refuse(_request: Any, context: Any) -> None:  # noqa: ANN401 - of any method
    """Replaces a handler that is a plain function: it would block all other calls.

    Generated servicers have one for each method that is not overridden.
    """
    await context.abort(
        grpc.StatusCode.UNIMPLEMENTED, "the method has no handler that is an `async def` function"
    )


_HEALTH: Final = "/grpc.health.v1.Health/"


def _same(value: Any) -> Any:  # noqa: ANN401 - what a method without a serialiser has is bytes
    return value


class Method:
    """One method, ready to be called.

    Args:
        name: its path, `/package.Service/Method`.
        handler: as generated code registers it.

    Attributes:
        behaviour: the handler's function. If that is neither a coroutine function nor an async
            generator, a function that answers UNIMPLEMENTED.
        deserialize: turns bytes into a request.
        serialize: turns a response into bytes.
        reads_many: whether the request is a stream.
        writes_many: whether the response is a stream.
        counted: whether its calls count as under way from their beginning. Handlers count streams
            themselves.
        asks_health: whether it is a health check. Its calls never count as under way: they wait
            for nothing, and refusing one would take a busy server out of service.
        generates: whether the function is an async generator that yields its responses.
    """

    __slots__ = (
        "asks_health",
        "behaviour",
        "counted",
        "deserialize",
        "generates",
        "name",
        "reads_many",
        "serialize",
        "writes_many",
    )

    def __init__(self, name: str, handler: grpc.RpcMethodHandler[Any, Any]) -> None:
        self.name = name
        self.reads_many: bool = handler.request_streaming
        self.writes_many: bool = handler.response_streaming
        self.asks_health = name.startswith(_HEALTH)
        self.counted = not (self.writes_many or self.asks_health)
        self.behaviour: Callable[..., Any] = _behaviour(handler)
        self.deserialize: Callable[[bytes], Any] = handler.request_deserializer or _same
        self.serialize: Callable[[Any], bytes] = handler.response_serializer or _same
        flags = _code_flags(self.behaviour)
        self.generates = bool(flags & _ASYNC_GENERATOR)
        if not flags & (_COROUTINE | _ASYNC_GENERATOR) or (self.generates and not self.writes_many):
            self.behaviour = _refuse
            self.generates = False


def _behaviour(handler: grpc.RpcMethodHandler[Any, Any]) -> Callable[..., Any]:
    found: Any
    if handler.request_streaming:
        found = handler.stream_stream if handler.response_streaming else handler.stream_unary
    else:
        found = handler.unary_stream if handler.response_streaming else handler.unary_unary
    behaviour: Callable[..., Any] = found
    return behaviour


def _code_flags(function: Any) -> int:  # noqa: ANN401 - any callable
    """The flags of a function's code. Faster than `inspect`: interceptors need it in each call."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if code is None:  # an object with `async def __call__`
        code = getattr(type(function).__call__, "__code__", None)
    return 0 if code is None else int(code.co_flags)
