"""What is put around every handler: once a method, on either server."""

from __future__ import annotations  # some types of grpc take parameters only for checkers

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from notecast_runtime.status import ErrorInterceptor
from notecast_wire import MethodInterceptor


class Details(grpc.HandlerCallDetails):
    """Of a call."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


async def behaviour(request: object, context: object) -> str:  # noqa: ARG001 - as handlers have it
    return "answer"


def unary() -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(behaviour)


async def intercepted(
    interceptor: ErrorInterceptor, method: str, handler: grpc.RpcMethodHandler[Any, Any] | None
) -> grpc.RpcMethodHandler[Any, Any] | None:
    async def find(_: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        return handler

    return await interceptor.intercept_service(find, Details(method))


@pytest.fixture
def interceptor() -> ErrorInterceptor:
    return ErrorInterceptor()


def test_our_own_server_asks_it_once_a_method(interceptor: ErrorInterceptor) -> None:
    assert isinstance(interceptor, MethodInterceptor)


async def test_a_handler_is_wrapped_once_for_all_of_its_calls(
    interceptor: ErrorInterceptor,
) -> None:
    handler = unary()
    first = await intercepted(interceptor, "/a/B", handler)
    assert first is not None
    assert first is not handler
    assert await intercepted(interceptor, "/a/B", handler) is first
    wrapped: Any = first.unary_unary
    assert await wrapped("request", "context") == "answer"


async def test_another_handler_or_method_gets_a_wrapping_of_its_own(
    interceptor: ErrorInterceptor,
) -> None:
    handler = unary()
    first = await intercepted(interceptor, "/a/B", handler)
    assert await intercepted(interceptor, "/a/C", handler) is not first
    assert await intercepted(interceptor, "/a/B", unary()) is not first


async def test_what_it_is_not_made_for_is_left_as_it_is(interceptor: ErrorInterceptor) -> None:
    assert await intercepted(interceptor, "/a/B", None) is None

    async def generator(_: object, __: object) -> AsyncIterator[bytes]:
        yield b""

    streaming: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(generator)
    assert await intercepted(interceptor, "/a/B", streaming) is streaming
