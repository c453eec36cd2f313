"""What a client has begun to send becomes whole in time, or is ended."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeAlias, cast

import pytest
from grpc import aio

from notecast_wire.calls.request_timeouts import RequestTimeouts
from tests.support import raw_http2 as raw
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import RawClient, connected, grpc_headers, message
from tests.wire.calls.serving import (
    Context,
    count,
    echo,
    stream_stream,
    stream_unary,
    unary_stream,
    unary_unary,
)
from tests.wire.calls.still_loop import StillLoop

Continuation: TypeAlias = Any
CallDetails: TypeAlias = Any
Anything: TypeAlias = Any

SHORT = (("notecast_wire.request_timeout_ms", 100),)
DEADLINE_EXCEEDED = "4"


class Entry:
    timed_out = False

    def time_out(self) -> None:
        assert not self.timed_out
        self.timed_out = True


def timeouts(loop: StillLoop, seconds: float = 1.0) -> RequestTimeouts:
    return RequestTimeouts(cast(asyncio.AbstractEventLoop, loop), seconds)


def test_each_has_the_whole_time_and_one_timer_serves_all() -> None:
    loop = StillLoop()
    bounds = timeouts(loop)
    first, second = Entry(), Entry()
    bounds.start(first)
    loop.move_on(0.5)
    bounds.start(second)
    assert len(loop.due) == 1
    loop.move_on(0.5)
    assert (first.timed_out, second.timed_out) == (True, False)
    loop.move_on(0.5)
    assert second.timed_out
    assert not loop.due
    assert len(bounds) == 0


def test_what_is_whole_in_time_wakes_nobody_but_once() -> None:
    loop = StillLoop()
    bounds = timeouts(loop)
    entries = [Entry() for _ in range(100)]
    for entry in entries:
        bounds.start(entry)
        bounds.discard(entry)
    loop.move_on(10)
    assert loop.wakes == 1
    assert not loop.due
    assert not any(entry.timed_out for entry in entries)


def test_one_that_begins_again_has_the_whole_time_again() -> None:
    loop = StillLoop()
    bounds = timeouts(loop)
    entry = Entry()
    bounds.start(entry)
    loop.move_on(0.9)
    bounds.start(entry)
    loop.move_on(0.9)
    assert not entry.timed_out
    loop.move_on(0.1)
    assert entry.timed_out


def test_without_a_bound_nothing_is_kept() -> None:
    bounds = timeouts(StillLoop(), float("inf"))
    bounds.start(Entry())
    assert len(bounds) == 0


async def subscribe(_: bytes, context: Context) -> None:
    context.detach()


HALF = message(b"abc")[:-1]


@pytest.mark.parametrize("body", [None, HALF, message(b"abc")], ids=["none", "half", "no end"])
@pytest.mark.parametrize("name", ["Echo", "Subscribe"])
async def test_a_request_that_does_not_become_whole_ends_its_call_alone(
    name: str, body: bytes | None
) -> None:
    methods = {"Echo": unary_unary(echo), "Subscribe": unary_stream(subscribe)}
    async with connected(methods, SHORT) as (served, client):
        other = client.call("Subscribe")
        call = client.begin(grpc_headers(name, ("grpc-timeout", "1H")), body, end=False)
        response = await client.ended(call)
        assert response.status == DEADLINE_EXCEEDED
        assert response.headers["grpc-message"] == "the request was not complete within 0.1 s"
        assert served.calls == 1
        # Neither the connection nor what is whole on it: a stream of messages lives on.
        await asyncio.sleep(0.2)
        await client.settled()
        assert not client.responses[other].ended
        assert not client.goaways
        assert served.held == 0


async def test_an_octet_now_and_then_does_not_make_the_time_longer() -> None:
    async with connected({"Echo": unary_unary(echo)}, SHORT) as (_, client):
        call = client.begin(grpc_headers("Echo"), message(bytes(1_000))[:5], end=False)
        for _octet in range(100):
            await asyncio.sleep(0.02)
            if client.responses[call].ended:
                break
            client.h2.send_data(call, b"x")
            client.flush()
        assert client.responses[call].status == DEADLINE_EXCEEDED


async def test_a_request_that_comes_late_but_in_time_is_answered() -> None:
    options = (("notecast_wire.request_timeout_ms", 10_000),)
    async with connected({"Echo": unary_unary(echo)}, options) as (served, client):
        call = client.begin(grpc_headers("Echo"), None, end=False)
        await client.settled()
        bounds = served.server._state.request_timeouts  # type: ignore[union-attr]
        assert len(bounds) == 1
        client.h2.send_data(call, message(b"abc"), end_stream=True)
        client.flush()
        assert (await client.ended(call)).messages == [b"abc"]
        assert len(bounds) == 0


async def test_a_request_whose_method_was_not_known_is_bounded_as_well() -> None:
    class Late(aio.ServerInterceptor):
        async def intercept_service(
            self, continuation: Continuation, handler_call_details: CallDetails
        ) -> Anything:
            known = await continuation(handler_call_details)
            return known or unary_unary(echo)

    async with connected({}, SHORT, interceptors=(Late(),)) as (served, client):
        call = client.begin(grpc_headers("Unheard"), HALF, end=False)
        assert (await client.ended(call)).status == DEADLINE_EXCEEDED
        await eventually(lambda: served.calls == served.tasks == 0, "nothing is left")


async def test_a_stream_of_messages_may_be_silent_between_them_and_not_within_one() -> None:
    async def echo_all(requests: AsyncIterator[bytes], context: Context) -> None:
        async for request in requests:
            await context.write(request)

    async with connected({"Chat": stream_stream(echo_all)}, SHORT) as (served, client):
        chat = client.begin(grpc_headers("Chat"), message(b"one"), end=False)
        await asyncio.sleep(0.3)
        client.h2.send_data(chat, message(b"two") + HALF)
        client.flush()
        response = await client.ended(chat)
        assert response.messages == [b"one", b"two"]
        assert response.status == DEADLINE_EXCEEDED
        text = "a message of the request was not complete within 0.1 s"
        assert response.trailers["grpc-message"] == text
        await eventually(lambda: served.calls == served.tasks == 0, "nothing is left")


async def test_messages_that_follow_each_other_have_a_time_each() -> None:
    async with connected({"Count": stream_unary(count)}, SHORT) as (_, client):
        call = client.begin(grpc_headers("Count"), HALF, end=False)
        for _again in range(8):
            await asyncio.sleep(0.03)
            client.h2.send_data(call, b"c" + HALF)
            client.flush()
        client.h2.send_data(call, b"c", end_stream=True)
        client.flush()
        assert (await client.ended(call)).messages == [b"9"]


async def test_a_message_that_our_own_handler_keeps_waiting_has_the_time_it_takes() -> None:
    release = asyncio.Event()

    async def slow(requests: AsyncIterator[bytes], _: Context) -> bytes:
        await release.wait()
        return await count(requests, _)

    async with connected({"Slow": stream_unary(slow)}, SHORT) as (_, client):
        call = client.begin(grpc_headers("Slow"), message(b"one") + HALF, end=False)
        await asyncio.sleep(0.3)
        assert not client.responses[call].ended
        release.set()
        client.h2.send_data(call, b"c", end_stream=True)
        client.flush()
        assert (await client.ended(call)).messages == [b"2"]


async def drip(client: RawClient, octets: bytes, seconds: float = 0.02) -> None:
    for octet in octets:
        if client.closed or client.goaways:
            return
        client.send_raw(bytes((octet,)))
        await asyncio.sleep(seconds)


DRIPPED = {
    "a frame": raw.frame_head(raw.DATA, 0, 3, 1_000) + bytes(200),
    "a frame's head": raw.frame_head(raw.PING, 0, 0, 8),
    "a header block": raw.frame(raw.HEADERS, 0, 3, raw.request("/tests.Bytes/Echo"))
    + raw.frame(raw.CONTINUATION, 0, 3) * 15,
}


@pytest.mark.parametrize("what", DRIPPED)
async def test_a_frame_or_header_block_that_does_not_become_whole_ends_the_connection(
    what: str,
) -> None:
    async with connected({"Subscribe": unary_stream(subscribe)}, SHORT) as (served, client):
        stream = client.call("Subscribe")
        await client.settled()
        await drip(client, DRIPPED[what])
        await client.until(lambda: client.goaways, "it is ended")
        assert client.goaways[0].error_code == raw.ENHANCE_YOUR_CALM
        assert client.goaways[0].debug.startswith(b"a frame or a header block that does not")
        assert client.responses[stream].status == "14"
        await client.close()
        await eventually(lambda: not served.connections and served.calls == 0, "nothing is left")


async def test_frames_that_come_in_pieces_have_a_time_each() -> None:
    async with connected({"Count": stream_unary(count)}, SHORT) as (_, client):
        call = client.begin(grpc_headers("Count"), None, end=False)
        await client.settled()  # else h2 would answer SETTINGS amid a frame
        frames = raw.data(call, message(b"")) * 12
        for start in range(0, len(frames), 13):  # of 14 octets each
            client.send_raw(frames[start : start + 13])
            await asyncio.sleep(0.03)
        client.send_raw(raw.data(call, b"", end=True))
        assert (await client.ended(call)).messages == [b"12"]
        assert not client.goaways


async def test_a_connection_that_is_gone_leaves_no_bound() -> None:
    async with connected({"Echo": unary_unary(echo)}) as (served, client):
        client.begin(grpc_headers("Echo"), HALF, end=False)
        await client.settled()
        bounds = served.server._state.request_timeouts  # type: ignore[union-attr]
        client.send_raw(raw.frame_head(raw.DATA, 0, 1, 1_000) + bytes(10))
        await eventually(lambda: len(bounds) == 2, "call and frame are awaited")
        await client.close()
        await eventually(lambda: len(bounds) == 0, "nothing is awaited")
