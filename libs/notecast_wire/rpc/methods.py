"""What a server knows of one method: its handler, and how that is called."""

from __future__ import annotations  # grpc's types take parameters only for checkers

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final

import grpc

_COROUTINE: Final = inspect.CO_COROUTINE
_ASYNC_GENERATOR: Final = inspect.CO_ASYNC_GENERATOR


async def _refuse(_request: Any, context: Any) -> None:  # noqa: ANN401 - of any method
    """Stands for a plain function, which would stop all other calls while it runs.

    Generated servicers have one for each method that was not overridden.
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
        behaviour: the handler's function; where that is neither a coroutine function nor an
            async generator, one that answers UNIMPLEMENTED.
        deserialize: bytes into a request.
        serialize: a response into bytes.
        reads_many: the request is a stream.
        writes_many: the response is a stream.
        counted: its calls have a place among those under way from their beginning on. Streams are
            for handlers to count.
        asks_health: its calls never have such a place, whole or not: they wait for nothing, and to
            refuse one would take a server that is only busy out of service.
        generates: the function is an async generator: it yields its responses.
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
    """What kind of function it is. Asked for each call with interceptors, so not of `inspect`."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if code is None:  # an object with `async def __call__`
        code = getattr(type(function).__call__, "__code__", None)
    return 0 if code is None else int(code.co_flags)
