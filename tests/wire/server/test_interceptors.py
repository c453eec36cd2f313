"""Server interceptors, asked for each call or once a method."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import pytest
from grpc import StatusCode, aio
from structlog.testing import capture_logs

from notecast_wire import MethodInterceptor
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import connected
from tests.wire.calls.serving import (
    SERVICE,
    Behaviour,
    Context,
    ask,
    count,
    echo,
    first,
    serving,
    status_of,
    stream_unary,
    unary_stream,
    unary_unary,
)


async def repeat(request: bytes, _: Context) -> AsyncIterator[bytes]:
    yield request
    yield request


# What grpc's stubs call these is too narrow for handlers that are coroutines.
Continuation: TypeAlias = Any
CallDetails: TypeAlias = Any
Anything: TypeAlias = Any


class Wrapping(aio.ServerInterceptor):
    """Notes what it is asked, and marks what unary methods answer."""

    def __init__(self, mark: bytes = b"") -> None:
        self.asked: list[str] = []
        self.metadata: list[dict[str, Any]] = []
        self._mark = mark

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: CallDetails
    ) -> Anything:
        self.asked.append(handler_call_details.method)
        self.metadata.append(dict(handler_call_details.invocation_metadata))
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        behaviour: Behaviour = handler.unary_unary
        mark = self._mark

        async def marked(request: bytes, context: Context) -> bytes:
            answer: bytes = await behaviour(request, context)
            return answer + mark

        return unary_unary(marked)


class WrappingOnce(Wrapping, MethodInterceptor):
    pass


METHODS = {
    "Echo": unary_unary(echo),
    "Count": stream_unary(count),
    "Repeat": unary_stream(repeat),
}


async def test_interceptors_wrap_handlers_the_first_one_outermost() -> None:
    outer, inner = Wrapping(b"1"), Wrapping(b"2")
    async with serving(METHODS, interceptors=(outer, inner)) as served:
        assert await served.unary("Echo", b"x", metadata=(("key", "value"),)) == b"x21"
        assert await served.unary("Echo", b"y") == b"y21"
        assert outer.asked == inner.asked == [f"/{SERVICE}/Echo"] * 2
        assert inner.metadata[0]["key"] == "value"
        assert [part async for part in served.stream("Repeat", b"z")] == [b"z", b"z"]
        assert await served.send_all("Count", repeat(b"", None)) == b"2"


async def test_one_for_methods_is_asked_once_for_each() -> None:
    interceptor = WrappingOnce(b"!")
    async with serving(METHODS, interceptors=(interceptor,)) as served:
        for _ in range(3):
            assert await served.unary("Echo", b"x") == b"x!"
            assert [part async for part in served.stream("Repeat", b"z")] == [b"z", b"z"]
        assert sorted(interceptor.asked) == [f"/{SERVICE}/Echo", f"/{SERVICE}/Repeat"]


async def test_one_for_calls_has_all_of_them_asked_for_each() -> None:
    once, each = WrappingOnce(b"1"), Wrapping(b"2")
    async with serving(METHODS, interceptors=(once, each)) as served:
        for _ in range(3):
            assert await served.unary("Echo", b"x") == b"x21"
        assert len(once.asked) == len(each.asked) == 3


async def test_an_interceptor_is_asked_about_unknown_methods_and_may_know_them() -> None:
    class Knowing(aio.ServerInterceptor):
        async def intercept_service(
            self, continuation: Continuation, handler_call_details: CallDetails
        ) -> Anything:
            if handler_call_details.method.endswith("/Known"):
                return unary_unary(echo)
            if handler_call_details.method.endswith("/Streams"):
                return stream_unary(count)
            return await continuation(handler_call_details)

    async with serving({}, interceptors=(Knowing(),)) as served:
        assert await served.unary("Known", b"x") == b"x"
        assert await served.send_all("Streams", repeat(b"", None)) == b"2"
        code, _ = await status_of(served.unary("Unknown"))
        assert code is StatusCode.UNIMPLEMENTED


async def test_an_interceptor_that_fails_or_misleads_ends_the_call() -> None:
    class Failing(aio.ServerInterceptor):
        async def intercept_service(
            self, continuation: Continuation, handler_call_details: CallDetails
        ) -> Anything:
            handler = await continuation(handler_call_details)
            if handler.unary_unary is not None:
                raise ValueError("no good")
            return unary_unary(echo)

    async with serving(METHODS, interceptors=(Failing(),)) as served:
        with capture_logs() as logs:
            assert await status_of(served.unary("Echo")) == (
                StatusCode.UNKNOWN,
                "Unexpected <class 'ValueError'>: no good",
            )
            code, _ = await status_of(served.send_all("Count", repeat(b"", None)))
        assert code is StatusCode.INTERNAL
        assert [entry["event"] for entry in logs] == ["interceptor_failed"]


async def test_a_client_may_leave_while_an_interceptor_decides() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    class Slow(aio.ServerInterceptor):
        async def intercept_service(
            self, continuation: Continuation, handler_call_details: CallDetails
        ) -> Anything:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
            return await continuation(handler_call_details)

    async with serving(METHODS, interceptors=(Slow(),)) as served:
        call = asyncio.ensure_future(served.unary("Echo"))
        await first(begun)
        call.cancel()
        await first(cancelled)
        await eventually(lambda: served.calls == served.tasks == 0, "nothing is left")


async def test_an_interceptor_that_fails_after_the_client_has_left_ends_nothing_twice() -> None:
    begun = asyncio.Event()

    class Failing(aio.ServerInterceptor):
        async def intercept_service(
            self, continuation: Continuation, handler_call_details: CallDetails
        ) -> Anything:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ValueError("no good") from None
            return await continuation(handler_call_details)

    async with serving(METHODS, interceptors=(Failing(),)) as served:
        call = asyncio.ensure_future(served.unary("Echo"))
        await first(begun)
        call.cancel()
        await eventually(lambda: served.tasks == 0, "the interceptor has failed")
        assert served.calls == 0


async def test_metadata_that_is_no_base64_ends_the_call_before_an_interceptor_fails() -> None:
    async with connected(METHODS, interceptors=(Wrapping(),)) as (_, client):
        response = await client.ended(client.call("Echo", b"", ("a-bin", "!")))
        assert response.status == "13"


@pytest.mark.parametrize("kind", [Wrapping, WrappingOnce])
async def test_interceptors_work_on_grpc_aio_alike(kind: type[Wrapping]) -> None:
    server = aio.server(interceptors=(kind(b"!"),))
    server.add_registered_method_handlers(SERVICE, {"Echo": unary_unary(echo)})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert await ask(channel, "Echo", b"x") == b"x!"
    await server.stop(None)
