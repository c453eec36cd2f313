"""The four kinds of methods, their handlers and what those find in their context."""

import asyncio
import functools
import gc
import inspect
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc import StatusCode, aio
from structlog.testing import capture_logs

from tests.support.waiting import eventually
from tests.wire.calls.raw_client import connected, grpc_headers, message
from tests.wire.calls.serving import (
    SERVICE,
    Behaviour,
    Context,
    Handler,
    echo,
    first,
    serving,
    status_of,
    stream_stream,
    stream_unary,
    unary_stream,
    unary_unary,
)


async def numbers(count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield b"%d" % number


async def test_one_request_gets_one_response() -> None:
    async with serving({"Echo": unary_unary(echo)}) as served:
        assert await served.unary("Echo", b"hello") == b"hello"


async def test_a_client_of_threads_gets_its_response_too() -> None:
    async with serving({"Echo": unary_unary(echo)}) as served:
        with grpc.insecure_channel(served.address) as channel:
            assert await served.ask_from_thread(channel, b"hello") == b"hello"


async def test_a_response_of_any_size_arrives_whole() -> None:
    async def large(request: bytes, _: Context) -> bytes:
        return b"x" * int(request)

    async with serving({"Large": unary_unary(large)}) as served:
        for size in (0, 1, 16_379, 16_380, 65_530, 65_531, 4_000_000):
            assert await served.unary("Large", b"%d" % size) == b"x" * size


async def test_a_request_of_several_windows_arrives_whole() -> None:
    async with serving({"Echo": unary_unary(echo)}) as served:
        request = bytes(range(256)) * 15_000
        assert await served.unary("Echo", request) == request


async def test_an_async_generator_streams_what_it_yields() -> None:
    async def count(request: bytes, _: Context) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b"%d" % number

    async with serving({"Count": unary_stream(count)}) as served:
        assert [part async for part in served.stream("Count", b"3")] == [b"0", b"1", b"2"]
        assert [part async for part in served.stream("Count", b"0")] == []


async def test_a_coroutine_streams_what_it_writes() -> None:
    async def count(request: bytes, context: Context) -> None:
        for number in range(int(request)):
            await context.write(b"%d" % number)

    async with serving({"Count": unary_stream(count)}) as served:
        assert [part async for part in served.stream("Count", b"3")] == [b"0", b"1", b"2"]


async def test_a_request_that_is_a_stream_is_read_by_iteration() -> None:
    async def join(requests: AsyncIterator[bytes], _: Context) -> bytes:
        return b",".join([request async for request in requests])

    async with serving({"Join": stream_unary(join)}) as served:
        assert await served.send_all("Join", numbers(4)) == b"0,1,2,3"
        assert await served.send_all("Join", numbers(0)) == b""


async def test_a_request_that_is_a_stream_is_read_with_read() -> None:
    async def join(_: object, context: Context) -> bytes:
        parts = []
        while (part := await context.read()) is not aio.EOF:
            parts.append(part)
        return b",".join(parts)

    async with serving({"Join": stream_unary(join)}) as served:
        assert await served.send_all("Join", numbers(4)) == b"0,1,2,3"


async def test_both_directions_stream_at_once() -> None:
    async def answer(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request.upper()

    async with serving({"Answer": stream_stream(answer)}) as served:
        call = served.converse("Answer")
        for word in (b"one", b"two"):
            await call.write(word)
            assert await call.read() == word.upper()
        await call.done_writing()
        assert await call.read() is aio.EOF
        assert await call.code() is StatusCode.OK


async def test_a_handler_that_does_not_read_stops_its_client_and_nobody_else() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def late(requests: AsyncIterator[bytes], _: Context) -> bytes:
        begun.set()
        await go_on.wait()
        return b"%d" % len([request async for request in requests])

    methods = {"Late": stream_unary(late), "Echo": unary_unary(echo)}
    async with connected(methods) as (served, client):
        stream = client.begin(grpc_headers("Late"), message(b"x" * 1_000), end=False)
        await first(begun)
        # All that fits the window of the stream, which then stays closed.
        for _ in range(65_535 // 1_005 - 1):
            client.h2.send_data(stream, message(b"x" * 1_000))
        client.flush()
        await client.settled()
        left = client.h2.local_flow_control_window(stream)
        assert left < 1_005
        assert await served.unary("Echo", b"meanwhile") == b"meanwhile"
        go_on.set()
        await client.until(
            lambda: client.h2.local_flow_control_window(stream) > 32_768, "the window opens"
        )
        client.h2.end_stream(stream)
        client.flush()
        assert (await client.ended(stream)).messages == [b"65"]


async def test_what_a_handler_has_read_is_held_no_longer() -> None:
    read, go_on = asyncio.Event(), asyncio.Event()

    async def late(_: object, context: Context) -> bytes:
        await context.read()
        read.set()
        await go_on.wait()
        return b""

    async with connected({"Late": stream_unary(late)}) as (served, client):
        stream = client.begin(grpc_headers("Late"), message(bytes(1_000)), end=False)
        await first(read)
        assert served.held == 0
        client.h2.send_data(stream, message(bytes(1_000)), end_stream=True)
        client.flush()
        await client.settled()
        assert served.held >= 1_000
        go_on.set()
        await client.ended(stream)
        assert served.held == 0


async def test_messages_may_be_split_and_joined_in_any_way() -> None:
    async def join(requests: AsyncIterator[bytes], _: Context) -> bytes:
        return b",".join([request async for request in requests])

    async with connected({"Join": stream_unary(join)}) as (_, client):
        stream = client.begin(grpc_headers("Join"), None, end=False)
        for part in (b"\0", b"\0\0\0", b"\3a", b"bc" + message(b"d") + message(b"") + b"\0"):
            client.h2.send_data(stream, part)
        client.h2.send_data(stream, b"\0\0\0\2ef", end_stream=True)
        client.flush()
        assert (await client.ended(stream)).messages == [b"abc,d,,ef"]


@pytest.mark.parametrize(
    ("body", "count"), [(b"", 0), (message(b"a") + message(b"b"), 2)], ids=["none", "two"]
)
async def test_a_method_of_one_message_refuses_other_numbers(body: bytes, count: int) -> None:
    async with connected({"Echo": unary_unary(echo)}) as (_, client):
        response = await client.ended(client.begin(grpc_headers("Echo"), body))
        assert response.status == "12"
        assert response.headers["grpc-message"].endswith(f"got {count}")


async def test_a_request_without_a_body_is_refused_where_there_must_be_a_message() -> None:
    async with connected({"Echo": unary_unary(echo)}) as (_, client):
        assert (await client.ended(client.begin(grpc_headers("Echo"), None))).status == "12"


async def test_an_end_amid_a_message_is_internal() -> None:
    async with connected({"Echo": unary_unary(echo)}) as (_, client):
        stream = client.begin(grpc_headers("Echo"), message(b"abc")[:-1])
        assert (await client.ended(stream)).status == "13"


async def test_trailers_may_end_a_request() -> None:
    async with connected({"Echo": unary_unary(echo)}) as (_, client):
        stream = client.begin(grpc_headers("Echo"), message(b"abc"), end=False)
        client.h2.send_headers(stream, [("some", "trailer")], end_stream=True)
        client.flush()
        assert (await client.ended(stream)).messages == [b"abc"]


async def test_an_unknown_method_is_unimplemented() -> None:
    async with serving({}) as served:
        assert await status_of(served.unary("None")) == (
            StatusCode.UNIMPLEMENTED,
            "Method not found!",
        )


async def test_what_a_handler_raises_is_unknown_to_its_client_and_logged() -> None:
    async def fail(_: bytes, __: Context) -> bytes:
        raise ValueError("no good")

    async with serving({"Fail": unary_unary(fail)}) as served:
        with capture_logs() as logs:
            assert await status_of(served.unary("Fail")) == (
                StatusCode.UNKNOWN,
                "Unexpected <class 'ValueError'>: no good",
            )
        assert [entry["event"] for entry in logs] == ["call_failed"]


async def test_a_generator_that_fails_ends_its_stream_with_what_it_yielded_before() -> None:
    async def fail(_: bytes, __: Context) -> AsyncIterator[bytes]:
        yield b"one"
        raise ValueError("no good")

    async with serving({"Fail": unary_stream(fail)}) as served:
        call = served.stream("Fail")
        assert await call.read() == b"one"
        code, details = await status_of(call.read())
        assert (code, details) == (StatusCode.UNKNOWN, "Unexpected <class 'ValueError'>: no good")


async def test_a_generator_is_closed_with_its_call_and_not_some_day() -> None:
    closed: list[bool] = []

    async def count_up(_: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.append(context.done())

    async with connected({"CountUp": unary_stream(count_up)}, initial_window=10) as (
        served,
        client,
    ):
        stream = client.call("CountUp")
        await client.until(lambda: len(client.responses[stream].data) == 10, "it waits")
        generators = [thing for thing in gc.get_objects() if inspect.isasyncgen(thing)]
        client.h2.reset_stream(stream, 8)
        client.flush()
        await eventually(lambda: served.tasks == 0, "the handler has ended")
        assert closed[-1:] == [True]
        assert generators  # held until here, so that nothing else has closed them


async def test_a_handler_that_gives_up_by_itself_leaves_no_call_without_a_status() -> None:
    async def give_up(_: bytes, __: Context) -> bytes:
        raise asyncio.CancelledError

    async with serving({"GiveUp": unary_unary(give_up)}) as served:
        code, _ = await status_of(served.unary("GiveUp"))
        assert code is StatusCode.CANCELLED


async def test_a_request_that_cannot_be_read_is_internal() -> None:
    behaviour: Behaviour = echo
    handler: Handler = grpc.unary_unary_rpc_method_handler(
        behaviour,
        request_deserializer=lambda data: 1 / len(data),
    )
    async with serving({"Echo": handler}) as served:
        assert await status_of(served.unary("Echo", b"")) == (
            StatusCode.INTERNAL,
            "Exception deserializing request!",
        )


async def test_serializers_stand_between_handlers_and_bytes() -> None:
    async def double(request: int, _: Context) -> int:
        return request * 2

    behaviour: Behaviour = double
    handler: Handler = grpc.unary_unary_rpc_method_handler(
        behaviour,
        request_deserializer=int,
        response_serializer=lambda number: b"%d" % number,
    )
    async with serving({"Double": handler}) as served:
        assert await served.unary("Double", b"21") == b"42"


@pytest.mark.parametrize("way", ["registered", "generic"])
async def test_a_plain_function_is_never_run_and_its_calls_are_unimplemented(way: str) -> None:
    ran = False

    def plain(request: bytes, _: Context) -> bytes:
        nonlocal ran
        ran = True
        return request

    methods = {"Plain": unary_unary(plain)}
    generic = grpc.method_handlers_generic_handler(SERVICE, methods)
    async with serving(
        methods if way == "registered" else {}, handlers=(generic,) if way == "generic" else ()
    ) as served:
        code, details = await status_of(served.unary("Plain"))
    assert (code, ran) == (StatusCode.UNIMPLEMENTED, False)
    assert "async def" in details


async def test_a_handler_may_be_bound_partial_or_an_object() -> None:
    class Service:
        async def method(self, request: bytes, _: Context) -> bytes:
            return b"bound " + request

        async def __call__(self, request: bytes, _: Context) -> bytes:
            return b"called " + request

    async def with_prefix(prefix: bytes, request: bytes, _: Context) -> bytes:
        return prefix + request

    methods = {
        "Bound": unary_unary(Service().method),
        "Called": unary_unary(Service()),
        "Partial": unary_unary(functools.partial(with_prefix, b"partial ")),
    }
    async with serving(methods) as served:
        assert await served.unary("Bound", b"x") == b"bound x"
        assert await served.unary("Called", b"x") == b"called x"
        assert await served.unary("Partial", b"x") == b"partial x"


async def test_generic_handlers_serve_and_registered_ones_go_before_them() -> None:
    async def other(_: bytes, __: Context) -> bytes:
        return b"generic"

    generic = grpc.method_handlers_generic_handler(
        SERVICE, {"Echo": unary_unary(other), "Other": unary_unary(other)}
    )
    async with serving({"Echo": unary_unary(echo)}, handlers=(generic,)) as served:
        assert await served.unary("Echo", b"registered") == b"registered"
        assert await served.unary("Other") == b"generic"


async def test_a_cancelled_call_cancels_its_handler_and_leaves_nothing() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_: bytes, context: Context) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert context.cancelled()
            assert context.done()
            cancelled.set()
            raise
        return b""

    async with serving({"Wait": unary_unary(wait)}) as served:
        call = asyncio.ensure_future(served.unary("Wait"))
        await first(begun)
        assert (served.calls, served.tasks) == (1, 1)
        call.cancel()
        await first(cancelled)
        await eventually(lambda: served.calls == served.tasks == 0, "nothing is left")


async def test_a_call_that_is_given_up_with_its_first_bytes_starts_no_handler() -> None:
    ran = False

    async def run(_: bytes, __: Context) -> bytes:
        nonlocal ran
        ran = True
        return b""

    async with connected({"Run": unary_unary(run)}) as (served, client):
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, grpc_headers("Run"))
        client.h2.send_data(stream, message(b""), end_stream=True)
        client.h2.reset_stream(stream, 8)
        client.flush()
        await client.settled()
        assert (ran, served.calls, served.tasks) == (False, 0, 0)


async def test_a_handler_that_writes_to_nobody_is_told_so() -> None:
    begun, go_on, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def write(_: bytes, context: Context) -> None:
        begun.set()
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            with pytest.raises(aio.InternalError):
                await context.write(b"late")
            told.set()
            raise

    async with serving({"Write": unary_stream(write)}) as served:
        call = served.stream("Write")
        await first(begun)
        call.cancel()
        await first(told)


async def test_more_calls_than_allowed_are_refused_until_one_ends() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_: bytes, __: Context) -> bytes:
        begun.set()
        await go_on.wait()
        return b"done"

    methods = {"Wait": unary_unary(wait), "Echo": unary_unary(echo)}
    async with serving(methods, maximum_concurrent_rpcs=1) as served:
        waiting = asyncio.ensure_future(served.unary("Wait"))
        await first(begun)
        assert await status_of(served.unary("Echo")) == (
            StatusCode.RESOURCE_EXHAUSTED,
            "Concurrent RPC limit exceeded!",
        )
        go_on.set()
        assert await waiting == b"done"
        assert await served.unary("Echo", b"again") == b"again"
