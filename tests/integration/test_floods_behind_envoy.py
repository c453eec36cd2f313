"""One client that floods through Envoy ends no stream of another, whose connection it shares."""

from __future__ import annotations  # grpc's types take parameters only for checkers

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc import aio

from notecast_local.ports import proxy_address
from notecast_runtime.health import Health
from notecast_runtime.server import create_server
from notecast_runtime.transports import ServerBounds, WireServerTransport
from notecast_wire import ShareRatios, TrustedProxies
from tests.support import raw_http2
from tests.support.raw_http2 import ACK, HEADERS, PING, RawConnection
from tests.support.shipped_envoy import Configuration, ShippedEnvoy, shipped_envoy

ECHO, WATCH = "/flood.Flood/Echo", "/flood.Flood/Watch"
HOSTILE = "127.0.0.2"
CALLS = 240
"""Of one connection at a time: Envoy takes 250."""


@asynccontextmanager
async def envoy(folder: Path) -> AsyncIterator[ShippedEnvoy]:
    """Envoy before one server that trusts it, with a call that answers and one that stays open."""

    async def echo(request: bytes, _: aio.ServicerContext[bytes, bytes]) -> bytes:
        return request

    async def watch(_: bytes, context: aio.ServicerContext[bytes, bytes]) -> None:
        await context.write(b"watching")
        await asyncio.Event().wait()

    unary: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    stream: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_stream_rpc_method_handler(watch)
    bounds = ServerBounds(TrustedProxies.parse(proxy_address()), ShareRatios())
    server = create_server(Health([], []), [], WireServerTransport(bounds))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("flood.Flood", {"Echo": unary, "Watch": stream}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with shipped_envoy([f"127.0.0.1:{port}"], folder, _without_its_own_bound) as running:
            yield running
    finally:
        await server.stop(None)


def _without_its_own_bound(configuration: Configuration) -> None:
    """Lets resets through of which Envoy would end its client's connection."""
    runtime = configuration["layered_runtime"]["layers"][0]["static_layer"]
    runtime["overload.premature_reset_total_stream_count"] = 1_000_000


@asynccontextmanager
async def watching(
    target: str, number: int = 12
) -> AsyncIterator[list[aio.UnaryStreamCall[bytes, bytes]]]:
    """Streams of other clients, each on a connection of its own."""
    channels = [
        aio.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(number)
    ]
    try:
        streams = [_watch(channel) for channel in channels]
        for call in streams:
            assert await asyncio.wait_for(call.read(), 20) == b"watching"
        yield streams
    finally:
        for channel in channels:
            await channel.close()


def _rapid_resets(port: int) -> None:
    block = raw_http2.request(ECHO)
    ids = range(1, 2 * CALLS, 2)
    for _ in range(40):
        with RawConnection(port, source=HOSTILE) as connection:
            connection.open()
            connection.send(b"".join(raw_http2.headers(i, block) for i in ids))
            for _ in range(CALLS // 50 + 2):  # so many at once does Envoy hand on
                _await_pong(connection)
            connection.send(b"".join(raw_http2.rst_stream(i) for i in ids))
            _await_pong(connection)


def _metadata_over_the_bound(port: int) -> None:
    fields = [(b"x-%d" % number, os.urandom(95).hex().encode()) for number in range(75)]
    block = raw_http2.request(ECHO, *fields)
    with RawConnection(port, source=HOSTILE) as connection:
        connection.open()
        for stream_id in range(1, 2 * CALLS, 2):
            connection.send(raw_http2.headers(stream_id, block, end=True))
        answered = 0
        until = time.monotonic() + 20
        while answered < CALLS:
            assert time.monotonic() < until, f"{answered} answers"
            assert not connection.closed
            answered += sum(frame.kind == HEADERS for frame in connection.frames(1.0))


def _await_pong(connection: RawConnection) -> None:
    """Returns once Envoy has dealt with what was sent, or has closed the connection for it."""
    connection.send(raw_http2.ping())
    until = time.monotonic() + 20
    while not connection.closed and not any(
        frame.kind == PING and frame.flags & ACK for frame in connection.frames(1.0)
    ):
        assert time.monotonic() < until


@pytest.mark.parametrize("flood", [_rapid_resets, _metadata_over_the_bound])
async def test_a_flood_of_one_client_ends_no_stream_and_no_call_of_another(
    flood: Callable[[int], None], tmp_path: Path
) -> None:
    async with envoy(tmp_path) as running, watching(running.target) as streams:
        await asyncio.to_thread(flood, running.port)
        async with aio.insecure_channel(
            running.target, [("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            for _ in range(20):
                assert await _echo(channel)(b"served", timeout=20) == b"served"
        assert not any(stream.done() for stream in streams)


async def test_metadata_over_the_bound_is_named_through_envoy_too(tmp_path: Path) -> None:
    metadata = [(f"x-{number}", "t" * 190) for number in range(75)] + [("x-largest", "t" * 2_000)]
    async with envoy(tmp_path) as running, aio.insecure_channel(running.target) as channel:
        with pytest.raises(aio.AioRpcError) as error:
            await _echo(channel)(b"", timeout=20, metadata=metadata)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "exceeds 16384" in (error.value.details() or "")
    assert "the largest is x-largest" in (error.value.details() or "")


def _echo(channel: aio.Channel) -> aio.UnaryUnaryMultiCallable[bytes, bytes]:
    call: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(ECHO)
    return call


def _watch(channel: aio.Channel) -> aio.UnaryStreamCall[bytes, bytes]:
    call: aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(WATCH)
    return call(b"", timeout=60)
