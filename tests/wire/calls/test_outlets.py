"""Streams that were detached: written without a task, with flow control to the byte."""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import h2.connection
import h2.settings
import pytest
from grpc import StatusCode, aio

from notecast_wire import StreamOutlet
from notecast_wire.calls.call import Call
from notecast_wire.calls.context import Context as CallContext
from notecast_wire.calls.request_messages import RequestMessages
from notecast_wire.http2.header_encoder import encode_headers
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import RawClient, connected, grpc_headers, message, raw_client
from tests.wire.calls.serving import Context, Served, first, serving, status_of, unary_stream


class Outlets:
    """Hands every call over, and keeps its outlet."""

    def __init__(self) -> None:
        self.all: list[StreamOutlet] = []
        self.ended: list[StreamOutlet] = []
        self.prepare: Callable[[Context], None] = lambda _: None

    async def subscribe(self, _: bytes, context: Context) -> None:
        await context.send_initial_metadata((("joined", "yes"),))
        self.prepare(context)
        outlet = context.detach()
        self.all.append(outlet)
        outlet.on_done(lambda: self.ended.append(outlet))

    async def next(self) -> StreamOutlet:
        """The outlet of the newest call, once it is there."""
        await eventually(lambda: self.all, "a stream is detached")
        return self.all[-1]


@asynccontextmanager
async def subscriptions(
    options: tuple[tuple[str, int], ...] = (),
) -> AsyncIterator[tuple[Served, Outlets]]:
    outlets = Outlets()
    async with serving({"Subscribe": unary_stream(outlets.subscribe)}, options) as served:
        yield served, outlets


@asynccontextmanager
async def subscribed(
    initial_window: int = 65_535,
) -> AsyncIterator[tuple[Served, Outlets, RawClient]]:
    async with (
        subscriptions() as (served, outlets),
        raw_client(served.port, initial_window) as client,
    ):
        yield served, outlets, client


async def test_what_is_written_arrives_and_the_status_after_it() -> None:
    async with subscriptions() as (served, outlets):
        call = served.stream("Subscribe")
        assert (await call.initial_metadata())["joined"] == "yes"
        outlet = await outlets.next()
        assert outlet.write(b"one")
        assert outlet.write(b"two")
        outlet.end(StatusCode.NOT_FOUND, "no more", (("why", "that"),))
        assert [await call.read(), await call.read()] == [b"one", b"two"]
        assert await status_of(call.read()) == (StatusCode.NOT_FOUND, "no more")
        assert (await call.trailing_metadata())["why"] == "that"
        assert outlets.ended == [outlet]


def alive(kind: type) -> int:
    """How many things of a type there are."""
    gc.collect()
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


async def test_an_idle_stream_holds_no_task_and_no_call() -> None:
    async with subscriptions() as (served, outlets):
        before = len(asyncio.all_tasks())
        kinds = (StreamOutlet, Call, CallContext, RequestMessages)
        alive_before = [alive(kind) for kind in kinds]
        async with raw_client(served.port) as client:
            for _ in range(50):
                client.call("Subscribe")
            await eventually(lambda: len(outlets.all) == 50, "all are detached")
            # The raw client's reader is the only task that came.
            assert len(asyncio.all_tasks()) == before + 1
            assert (served.tasks, served.calls) == (0, 50)
            more = [alive(kind) - count for kind, count in zip(kinds, alive_before, strict=True)]
            assert more == [50, 0, 0, 0]


async def test_a_write_never_sends_more_than_the_window() -> None:
    async with subscribed(initial_window=20) as (_, outlets, client):
        response = client.responses[client.call("Subscribe")]
        outlet = await outlets.next()
        assert outlet.write(b"x" * 5)
        assert outlet.write(b"y" * 5)
        assert outlet.waiting_since is None
        assert not outlet.write(b"z")
        await client.settled()
        assert response.data == message(b"x" * 5) + message(b"y" * 5)
        assert outlet.waiting_since is not None


async def test_a_message_larger_than_the_window_goes_in_parts_as_that_opens() -> None:
    async with subscribed(initial_window=10) as (_, outlets, client):
        stream = client.call("Subscribe")
        response = client.responses[stream]
        outlet = await outlets.next()
        wire = message(bytes(range(100)))
        assert outlet.write(bytes(range(100)))
        assert not outlet.write(b"another")
        seen = 10
        for size in (1, 7, 30, 57):
            await client.settled()
            assert response.data == wire[:seen]
            client.open_window(size, stream)
            seen += size
        await client.until(lambda: response.data == wire, "all of it")
        await eventually(lambda: outlet.waiting_since is None, "it can be written to")


async def test_an_outlet_that_refused_tells_when_to_try_again_and_catches_up() -> None:
    async with subscribed(initial_window=100) as (_, outlets, client):
        stream = client.call("Subscribe")
        response = client.responses[stream]
        outlet = await outlets.next()
        backlog = [b"%03d" % number for number in range(200)]

        def catch_up() -> None:
            while backlog and outlet.write(backlog[0]):
                backlog.pop(0)

        outlet.on_writable(catch_up)
        catch_up()
        assert len(backlog) == 200 - 100 // 8
        while backlog:
            await client.settled()
            client.open_window(37, stream)
        await client.until(lambda: len(response.messages) == 200, "all messages")
        assert response.messages == [b"%03d" % number for number in range(200)]


async def test_a_closed_connection_window_holds_all_of_its_streams_back() -> None:
    async with subscribed(initial_window=100_000) as (_, outlets, client):
        streams = [client.call("Subscribe") for _ in range(2)]
        await eventually(lambda: len(outlets.all) == 2, "both are detached")
        one, two = outlets.all
        told: list[StreamOutlet] = []
        one.on_writable(lambda: told.append(one))
        two.on_writable(lambda: told.append(two))
        assert one.write(bytes(60_000))
        assert not two.write(bytes(6_000))
        await client.settled()
        assert not told
        client.open_window(1_000)
        await eventually(lambda: told == [two], "who was refused is told")
        assert two.write(bytes(6_000))
        await client.until(
            lambda: len(client.responses[streams[1]].data) == 6_005, "it has arrived"
        )


async def test_a_stream_that_waits_has_made_no_progress_since() -> None:
    async with subscribed(initial_window=10) as (_, outlets, client):
        stream = client.call("Subscribe")
        outlet = await outlets.next()
        before = time.monotonic()
        outlet.write(b"x" * 100)
        since = outlet.waiting_since
        assert since is not None
        assert before <= since <= time.monotonic()
        await client.settled()
        assert outlet.waiting_since == since
        client.open_window(5, stream)
        await eventually(lambda: outlet.waiting_since != since, "there is progress")
        later = outlet.waiting_since
        assert later is not None
        assert later > since


async def test_a_status_comes_while_the_client_reads_nothing() -> None:
    async with subscribed(initial_window=10) as (_, outlets, client):
        stream = client.call("Subscribe")
        outlet = await outlets.next()
        outlet.write(b"x" * 100)
        outlet.cut(StatusCode.RESOURCE_EXHAUSTED, "too slow", (("cursor", "7"),))
        response = await client.ended(stream)
        assert response.status == "8"
        assert response.trailers["cursor"] == "7"
        assert len(response.data) == 10


async def test_an_end_waits_for_what_was_taken() -> None:
    async with subscribed(initial_window=10) as (_, outlets, client):
        stream = client.call("Subscribe")
        outlet = await outlets.next()
        outlet.write(b"x" * 100)
        outlet.end(StatusCode.OK)
        await eventually(lambda: outlets.ended, "it is done")
        await client.settled()
        assert not client.responses[stream].ended
        client.open_window(1_000, stream)
        response = await client.ended(stream)
        assert (response.messages, response.status) == ([b"x" * 100], "0")


async def test_done_is_told_once_however_it_comes() -> None:
    async with subscriptions() as (served, outlets):
        async with raw_client(served.port) as client:
            for _ in range(4):
                client.call("Subscribe")
            await eventually(lambda: len(outlets.all) == 4, "all are detached")
            ended, cut, left, last = outlets.all
            ended.end(StatusCode.OK)
            ended.end(StatusCode.ABORTED)
            cut.cut(StatusCode.ABORTED)
            cut.end(StatusCode.OK)
            assert not outlets.ended  # soon, and not amid the call that ends it
            client.h2.reset_stream(left.stream.id, 8)
            client.flush()
            await eventually(lambda: len(outlets.ended) == 3, "three are done")
            assert served.calls == 1
        await eventually(lambda: outlets.ended[3:] == [last], "the last one is done")
        assert all(outlet.done for outlet in outlets.all)
        assert not any(outlet.write(b"late") for outlet in outlets.all)
        late = asyncio.Event()
        last.on_done(late.set)
        await first(late)
        assert len(outlets.ended) == 4


async def test_headers_go_out_with_the_handing_over_at_the_latest() -> None:
    async def subscribe(_: bytes, context: Context) -> None:
        assert context.detach().write(b"hello")

    async with connected({"Subscribe": unary_stream(subscribe)}) as (_, client):
        response = client.responses[client.call("Subscribe")]
        await client.until(lambda: response.messages == [b"hello"], "hello")
        assert response.headers["content-type"] == "application/grpc"


async def test_done_callbacks_of_the_context_outlive_the_handler() -> None:
    async with subscriptions() as (served, outlets):
        seen: list[Context] = []
        outlets.prepare = lambda context: context.add_done_callback(seen.append)
        call = served.stream("Subscribe")
        outlet = await outlets.next()
        await call.initial_metadata()
        assert not seen
        outlet.end(StatusCode.OK)
        await eventually(lambda: seen, "the callback is called")
        assert seen[0].done()


async def test_a_deadline_ends_a_stream_that_was_detached() -> None:
    async with subscribed(initial_window=10) as (served, outlets, client):
        stream = client.call("Subscribe", b"", ("grpc-timeout", "100m"))
        outlet = await outlets.next()
        outlet.write(b"x" * 100)
        response = await client.ended(stream)
        assert response.status == "4"
        await eventually(lambda: outlets.ended == [outlet], "it is done")
        assert served.calls == 0


async def test_a_handler_that_fails_after_it_has_detached_its_call_ends_the_stream() -> None:
    async def fail(_: bytes, context: Context) -> None:
        context.detach()
        raise ValueError("too late")

    async with serving({"Fail": unary_stream(fail)}) as served:
        code, details = await status_of(served.stream("Fail").read())
        assert code is StatusCode.UNKNOWN
        assert "too late" in details


async def test_a_detached_call_is_no_longer_the_contexts() -> None:
    told = asyncio.Event()

    async def twice(_: bytes, context: Context) -> None:
        outlet = context.detach()
        for attempt in (context.detach, lambda: context.send_initial_metadata(())):
            with pytest.raises(aio.UsageError):
                await attempt()
        with pytest.raises(aio.UsageError):
            await context.write(b"")
        assert not context.done()
        outlet.end(StatusCode.OK)
        assert context.done()
        told.set()

    async with serving({"Twice": unary_stream(twice)}) as served:
        assert [part async for part in served.stream("Twice")] == []
        await first(told)


async def test_a_client_that_left_while_its_handler_ran_is_heard_of_from_the_outlet() -> None:
    begun, told = asyncio.Event(), asyncio.Event()

    async def late(_: bytes, context: Context) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outlet = context.detach()
            assert outlet.done
            outlet.on_done(told.set)

    async with serving({"Late": unary_stream(late)}) as served:
        call = served.stream("Late")
        await first(begun)
        call.cancel()
        await first(told)
        await eventually(lambda: served.calls == served.tasks == 0, "nothing is left")


async def test_a_client_that_opens_its_window_only_when_it_is_used_up_is_served_all_the_same() -> (
    None
):
    async with subscribed(initial_window=100) as (_, outlets, client):
        stream = client.call("Subscribe")
        response = client.responses[stream]
        outlet = await outlets.next()
        backlog = [b"x" * 70, b"y" * 70]

        def catch_up() -> None:
            while backlog and outlet.write(backlog[0]):
                backlog.pop(0)

        outlet.on_writable(catch_up)
        catch_up()
        assert len(backlog) == 1  # 25 bytes are left: not for 75
        await client.until(lambda: len(response.data) == 100, "the rest of the window is used")
        assert not backlog
        client.open_window(100, stream)
        await client.until(lambda: len(response.messages) == 2, "both messages")


async def test_a_full_socket_holds_its_own_streams_back_and_no_others() -> None:
    async with subscriptions() as (served, outlets):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        stalled = Stalled(writer)
        stalled.subscribe()
        outlet = await outlets.next()
        writes = 0
        while outlet.write(bytes(60_000)):
            writes += 1
            assert writes < 2_000, "the socket is never full"
            await asyncio.sleep(0)
        assert outlet.waiting_since is not None
        told = asyncio.Event()
        outlet.on_writable(told.set)
        async with raw_client(served.port) as client:
            stream = client.call("Subscribe")
            await eventually(lambda: len(outlets.all) == 2, "the other is detached")
            assert outlets.all[1].write(b"hello")
            await client.until(lambda: client.responses[stream].messages == [b"hello"], "hello")
        assert not told.is_set()
        while not told.is_set():  # it reads at last
            assert await reader.read(1_000_000)
        assert outlet.write(b"more")
        writer.close()


class Stalled:
    """A client with endless windows that does not read its socket."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._h2 = h2.connection.H2Connection()
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1},
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(2**31 - 1 - 65_535)

    def subscribe(self) -> None:
        self._h2.send_headers(1, grpc_headers("Subscribe"))
        self._h2.send_data(1, message(b""), end_stream=True)
        self._writer.write(self._h2.data_to_send())


class Crowd:
    """Thousands of streams of one client, as bytes: `h2` takes long for so many."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._block = encode_headers(
            [(name.encode(), value.encode()) for name, value in grpc_headers("Subscribe")]
        )
        self._next = 1
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))

    async def come(self, count: int) -> None:
        """Opens so many streams more."""
        for number in range(self._next, self._next + 2 * count, 2):
            self._writer.write(frame(1, 4, number, self._block) + frame(0, 1, number, message(b"")))
        self._next += 2 * count
        await self._writer.drain()

    async def go(self, count: int) -> None:
        """Cancels the newest."""
        for number in range(self._next - 2 * count, self._next, 2):
            self._writer.write(frame(3, 0, number, (8).to_bytes(4)))
        await self._writer.drain()


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream_id.to_bytes(4) + payload


async def test_20_000_cancelled_streams_give_their_memory_back() -> None:
    async with subscriptions((("grpc.max_concurrent_streams", 2_000),)) as (served, outlets):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        crowd = Crowd(writer)

        async def cycle() -> None:
            await crowd.come(2_000)
            await eventually(lambda: len(outlets.all) == 2_000, "all are detached")
            await crowd.go(2_000)
            await eventually(lambda: len(outlets.ended) == 2_000, "all are done")
            await reader.read(1_000_000)
            outlets.all.clear()
            outlets.ended.clear()

        await cycle()  # memos and the like are filled
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(9):
            await cycle()
        gc.collect()
        # Less than one block in nine streams.
        assert sys.getallocatedblocks() - before < 2_000
        assert (served.calls, served.tasks) == (0, 0)
        writer.close()
