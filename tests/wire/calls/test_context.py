"""What handlers learn from their context, and what they do with it."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import grpc
import pytest
from grpc import StatusCode, aio
from structlog.testing import capture_logs

from notecast_wire.rpc.metadata import Metadatum
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import connected, grpc_headers, message
from tests.wire.calls.serving import (
    Context,
    ask,
    echo,
    first,
    serving,
    status_of,
    stream_stream,
    stream_unary,
    unary_stream,
    unary_unary,
)


class _Status(NamedTuple):
    code: StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


class Status(_Status, grpc.Status):
    pass


async def test_metadata_goes_both_ways() -> None:
    seen: list[Metadatum] = []

    async def swap(_: bytes, context: Context) -> bytes:
        seen.extend(context.invocation_metadata())
        await context.send_initial_metadata((("first", "1"), ("first", "2"), ("b-bin", b"\0\xff")))
        context.set_trailing_metadata(aio.Metadata(("last", "3"), ("c-bin", b"\1")))
        assert dict(context.trailing_metadata()) == {"last": "3", "c-bin": b"\1"}
        return b""

    async with serving({"Swap": unary_unary(swap)}) as served:
        call = ask(served.channel, "Swap", metadata=(("k", "v"), ("k", "w"), ("d-bin", b"\0\1")))
        initial, trailing = await call.initial_metadata(), await call.trailing_metadata()
        assert initial.get_all("first") == ["1", "2"]
        assert initial["b-bin"] == b"\0\xff"
        assert (trailing["last"], trailing["c-bin"]) == ("3", b"\1")
    assert seen[1:] == [("k", "v"), ("k", "w"), ("d-bin", b"\0\1")]
    assert seen[0][0] == "user-agent"
    assert seen[1].key == "k"
    assert seen[1].value == "v"


async def test_a_status_is_what_the_handler_set() -> None:
    async def refuse(_: bytes, context: Context) -> bytes:
        context.set_code(StatusCode.NOT_FOUND)
        context.set_details("not hère: 100 %\n")
        context.set_trailing_metadata((("why", "gone"),))
        assert (context.code(), context.details()) == (StatusCode.NOT_FOUND, "not hère: 100 %\n")
        return b"dropped"

    async with serving({"Refuse": unary_unary(refuse)}) as served:
        with pytest.raises(aio.AioRpcError) as caught:
            await served.unary("Refuse")
        assert caught.value.code() is StatusCode.NOT_FOUND
        assert caught.value.details() == "not hère: 100 %\n"
        assert caught.value.trailing_metadata()["why"] == "gone"


async def test_a_handler_that_fails_keeps_the_code_that_it_has_set() -> None:
    async def fail(_: bytes, context: Context) -> bytes:
        context.set_code(StatusCode.DATA_LOSS)
        raise ValueError("gone")

    async with serving({"Fail": unary_unary(fail)}) as served:
        with capture_logs():
            code, details = await status_of(served.unary("Fail"))
        assert (code, details) == (
            StatusCode.DATA_LOSS,
            "Unexpected <class 'ValueError'>: gone",
        )


async def test_abort_ends_the_call_with_its_status() -> None:
    after = False

    async def refuse(_: bytes, context: Context) -> bytes:
        nonlocal after
        await context.abort(StatusCode.NOT_FOUND, "not here", (("why-bin", b"\0"),))
        after = True
        return b""

    async with serving({"Refuse": unary_unary(refuse)}) as served:
        with capture_logs() as logs, pytest.raises(aio.AioRpcError) as caught:
            await served.unary("Refuse")
        assert caught.value.code() is StatusCode.NOT_FOUND
        assert caught.value.details() == "not here"
        assert caught.value.trailing_metadata()["why-bin"] == b"\0"
        assert not after
        assert not logs


async def test_abort_with_status_says_what_the_status_says() -> None:
    async def refuse(_: bytes, context: Context) -> bytes:
        await context.abort_with_status(Status(StatusCode.ABORTED, "later", (("a", "b"),)))
        return b""

    async with serving({"Refuse": unary_unary(refuse)}) as served:
        with pytest.raises(aio.AioRpcError) as caught:
            await served.unary("Refuse")
        assert (caught.value.code(), caught.value.details()) == (StatusCode.ABORTED, "later")
        assert caught.value.trailing_metadata()["a"] == "b"


async def test_abort_in_a_stream_comes_after_what_was_written() -> None:
    async def refuse(_: bytes, context: Context) -> None:
        await context.write(b"one")
        await context.abort(StatusCode.NOT_FOUND, "no more")

    async with serving({"Refuse": unary_stream(refuse)}) as served:
        call = served.stream("Refuse")
        assert await call.read() == b"one"
        assert await status_of(call.read()) == (StatusCode.NOT_FOUND, "no more")


async def test_an_abort_that_a_handler_swallows_has_ended_the_call_all_the_same() -> None:
    errors: list[BaseException] = []

    async def refuse(_: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            await context.abort(StatusCode.NOT_FOUND, "first")
        except aio.AbortError as error:
            errors.append(error)
        try:
            await context.abort(StatusCode.ABORTED, "second")
        except aio.UsageError as error:
            errors.append(error)
        yield b"late"

    async with serving({"Refuse": unary_stream(refuse)}) as served:
        assert await status_of(served.stream("Refuse").read()) == (StatusCode.NOT_FOUND, "first")
        await eventually(lambda: served.tasks == 0, "the handler returns")
    assert [type(error) for error in errors] == [aio.AbortError, aio.UsageError]


async def test_abort_takes_no_ok() -> None:
    async def refuse(_: bytes, context: Context) -> bytes:
        await context.abort(StatusCode.OK)
        return b""

    async with serving({"Refuse": unary_unary(refuse)}) as served:
        with capture_logs():
            code, details = await status_of(served.unary("Refuse"))
        assert code is StatusCode.UNKNOWN
        assert "non-ok" in details


async def test_metadata_that_may_not_be_sent_is_an_error_where_it_is_given() -> None:
    async def check(_: bytes, context: Context) -> bytes:
        for bad in ("Upper", "with space", "grpc-status", "te", ":path", ""):
            with pytest.raises(ValueError, match="may not be sent"):
                context.set_trailing_metadata(((bad, "x"),))
        with pytest.raises(ValueError, match="printable ASCII"):
            context.set_trailing_metadata((("key", "né"),))
        with pytest.raises(TypeError):
            context.set_trailing_metadata((("key-bin", "text"),))
        return b"checked"

    async with serving({"Check": unary_unary(check)}) as served:
        assert await served.unary("Check") == b"checked"


async def test_binary_metadata_that_is_no_base64_ends_its_call() -> None:
    async def look(_: bytes, context: Context) -> bytes:
        return b"%d" % len(context.invocation_metadata())

    async with connected({"Look": unary_unary(look)}) as (_, client):
        response = await client.ended(client.call("Look", b"", ("a-bin", "!")))
        assert response.status == "13"


async def test_headers_may_be_sent_once_and_before_messages() -> None:
    async def greet(_: bytes, context: Context) -> AsyncIterator[bytes]:
        await context.send_initial_metadata(())
        with pytest.raises(aio.UsageError):
            await context.send_initial_metadata(())
        with pytest.raises(RuntimeError):
            context.set_compression(grpc.Compression.Gzip)
        yield b"hello"

    async with serving({"Greet": unary_stream(greet)}) as served:
        assert [part async for part in served.stream("Greet")] == [b"hello"]


async def test_headers_go_out_when_they_are_sent_and_not_with_the_first_message() -> None:
    go_on = asyncio.Event()

    async def greet(_: bytes, context: Context) -> AsyncIterator[bytes]:
        await context.send_initial_metadata((("early", "yes"),))
        await go_on.wait()
        yield b"hello"

    async with serving({"Greet": unary_stream(greet)}) as served:
        call = served.stream("Greet")
        assert (await call.initial_metadata())["early"] == "yes"
        go_on.set()
        assert await call.read() == b"hello"


async def test_a_handler_reads_and_writes_only_what_its_method_has() -> None:
    async def check(_: bytes, context: Context) -> bytes:
        with pytest.raises(aio.UsageError):
            await context.read()
        with pytest.raises(aio.UsageError):
            await context.write(b"")
        with pytest.raises(aio.UsageError):
            context.detach()
        return b"checked"

    async with serving({"Check": unary_unary(check)}) as served:
        assert await served.unary("Check") == b"checked"


async def test_time_remaining_is_what_the_client_gave() -> None:
    async def look(_: bytes, context: Context) -> bytes:
        return repr(context.time_remaining()).encode()

    async with serving({"Look": unary_unary(look)}) as served:
        assert 90 < float(await served.unary("Look", seconds=100)) < 110
        assert await served.unary("Look", seconds=None) == b"None"


async def test_done_callbacks_are_called_once_the_call_is_over() -> None:
    over = asyncio.Event()
    seen: list[Context] = []

    async def work(request: bytes, context: Context) -> bytes:
        def first_callback(given: Context) -> None:
            assert given is context
            assert given.done()
            seen.append(given)
            raise ValueError("a callback's own fault")

        context.add_done_callback(first_callback)
        context.add_done_callback(lambda _: over.set())
        assert not context.done()
        if request == b"wait":
            await asyncio.Event().wait()
        return b""

    async with serving({"Work": unary_unary(work)}) as served:
        with capture_logs() as logs:
            await served.unary("Work")
            await first(over)
            over.clear()
            waiting = asyncio.ensure_future(served.unary("Work", b"wait"))
            await eventually(lambda: served.tasks, "the handler runs")
            waiting.cancel()
            await first(over)
        # The fault of one is logged, and the next is called all the same.
        assert [entry["event"] for entry in logs] == ["done_callback_failed"] * 2
    assert len(seen) == 2


async def test_the_peer_is_named_as_grpc_names_it() -> None:
    async def look(_: bytes, context: Context) -> bytes:
        assert context.peer_identities() is None
        assert context.peer_identity_key() is None
        assert context.auth_context()["transport_security_type"] == (b"insecure",)
        return str(context.peer()).encode()

    async with serving({"Look": unary_unary(look)}) as served:
        assert (await served.unary("Look")).startswith(b"ipv4:127.0.0.1:")


async def test_a_writer_waits_for_its_client_and_writes_in_order() -> None:
    written = 0

    async def pour(_: bytes, context: Context) -> None:
        nonlocal written
        for number in range(100):
            await context.write(b"%d " % number + b"x" * 2_000)
            written += 1

    async with connected({"Pour": unary_stream(pour)}, initial_window=10_000) as (_, client):
        stream = client.call("Pour")
        response = client.responses[stream]
        await client.until(lambda: len(response.data) == 10_000, "the window is used up")
        await client.settled()
        assert written == 4
        while not response.ended:
            client.open_window(5_000, stream)
            client.open_window(5_000)
            await client.settled()
        numbers = [int(part.split(b" ")[0]) for part in response.messages]
        assert numbers == list(range(100))
        assert response.status == "0"


async def test_two_reads_at_once_are_refused() -> None:
    async def read(_: object, context: Context) -> bytes:
        waiting = asyncio.ensure_future(context.read())
        await asyncio.sleep(0)
        with pytest.raises(aio.UsageError):
            await context.read()
        return bytes(await waiting)

    async with connected({"Read": stream_unary(read)}) as (_, client):
        stream = client.begin(grpc_headers("Read"), None, end=False)
        await client.settled()
        client.h2.send_data(stream, message(b"hello"), end_stream=True)
        client.flush()
        assert (await client.ended(stream)).messages == [b"hello"]


async def test_another_task_that_writes_or_reads_learns_that_the_call_has_ended() -> None:
    learnt: list[object] = []

    async def end(_: object, context: Context) -> None:
        async def write() -> None:
            try:
                await context.write(bytes(100))
            except aio.InternalError as error:
                learnt.append(error)

        async def read() -> None:
            learnt.append(await context.read())

        both = [asyncio.ensure_future(write()), asyncio.ensure_future(read())]
        await asyncio.sleep(0)
        with pytest.raises(aio.AbortError):
            await context.abort(StatusCode.ABORTED)
        await asyncio.wait(both)

    async with connected({"End": stream_stream(end)}, initial_window=10) as (served, client):
        stream = client.begin(grpc_headers("End"), None, end=False)
        await eventually(lambda: len(learnt) == 2, "both have learnt it")
        assert {type(thing) for thing in learnt} == {aio.InternalError, type(aio.EOF)}
        client.open_window(1_000, stream)
        await eventually(lambda: served.tasks == 0, "the handler returns")


async def test_two_writes_at_once_are_refused() -> None:
    async def pour(_: bytes, context: Context) -> None:
        waiting = asyncio.ensure_future(context.write(b"x" * 100))
        await asyncio.sleep(0)
        with pytest.raises(aio.UsageError):
            await context.write(b"y")
        await waiting

    async with connected({"Pour": unary_stream(pour)}, initial_window=10) as (_, client):
        stream = client.call("Pour")
        await client.until(lambda: len(client.responses[stream].data) == 10, "10 bytes")
        client.open_window(1_000, stream)
        response = await client.ended(stream)
        assert (response.messages, response.status) == ([b"x" * 100], "0")


async def test_a_writer_that_never_waits_lets_others_have_their_turns() -> None:
    async def pour(_: bytes, context: Context) -> None:
        for _number in range(1_000):
            await context.write(b"x" * 1_000)

    methods = {"Pour": unary_stream(pour), "Echo": unary_unary(echo)}
    async with connected(methods, initial_window=2**31 - 1) as (_, client):
        client.open_window(2**31 - 1 - 65_535)
        stream = client.call("Pour")
        echoed = client.begin(grpc_headers("Echo"), message(b"me too"))
        response = client.responses[stream]
        await client.ended(echoed)
        # It came while the other was still writing, not after 1 MB.
        assert len(response.data) < 1_000_000
        assert len((await client.ended(stream)).data) == 1_000 * 1_005
