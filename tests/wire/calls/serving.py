"""Servers for tests: one service of bytes, on a port that was free, with a channel to it."""

from __future__ import annotations  # grpc's types take parameters only for checkers

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import grpc
from grpc import Compression, aio

import notecast_wire

if TYPE_CHECKING:
    from notecast_wire.server.protocol import ServerProtocol

SERVICE = "tests.Bytes"

Context: TypeAlias = Any
"""Handlers of grpc.aio and of this server are given different ones; tests use what both have."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour = Callable[..., Any]
Metadata = Sequence[tuple[str, str | bytes]]


def unary_unary(behaviour: Behaviour) -> Handler:
    return grpc.unary_unary_rpc_method_handler(behaviour)


def unary_stream(behaviour: Behaviour) -> Handler:
    return grpc.unary_stream_rpc_method_handler(behaviour)


def stream_unary(behaviour: Behaviour) -> Handler:
    return grpc.stream_unary_rpc_method_handler(behaviour)


def stream_stream(behaviour: Behaviour) -> Handler:
    return grpc.stream_stream_rpc_method_handler(behaviour)


async def echo(request: bytes, _: Context) -> bytes:
    return request


async def count(requests: AsyncIterator[bytes], _: Context) -> bytes:
    """The number of messages in the request."""
    return b"%d" % len([request async for request in requests])


def ask(
    channel: aio.Channel, name: str, request: bytes = b"", metadata: Metadata = ()
) -> aio.UnaryUnaryCall[bytes, bytes]:
    """Calls a method that answers once, on any channel."""
    call: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/{name}")
    return call(request, timeout=20, metadata=metadata)


class Served(NamedTuple):
    """A server that runs, and what a client needs."""

    server: notecast_wire.Server
    port: int
    channel: aio.Channel

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def unary(
        self,
        name: str,
        request: bytes = b"",
        *,
        seconds: float | None = 20,
        compression: Compression | None = None,
        metadata: Metadata = (),
    ) -> bytes:
        """Calls a method that answers once."""
        call: aio.UnaryUnaryMultiCallable[bytes, bytes]
        call = self.channel.unary_unary(f"/{SERVICE}/{name}")
        return await call(request, timeout=seconds, compression=compression, metadata=metadata)

    def stream(self, name: str, request: bytes = b"") -> aio.UnaryStreamCall[bytes, bytes]:
        """Calls a method that answers with a stream."""
        call: aio.UnaryStreamMultiCallable[bytes, bytes]
        call = self.channel.unary_stream(f"/{SERVICE}/{name}")
        return call(request, timeout=20)

    async def send_all(self, name: str, requests: AsyncIterator[bytes]) -> bytes:
        """Calls a method that takes a stream and answers once."""
        call: aio.StreamUnaryMultiCallable[bytes, bytes]
        call = self.channel.stream_unary(f"/{SERVICE}/{name}")
        return await call(requests, timeout=20)

    def converse(
        self,
        name: str,
        requests: AsyncIterator[bytes] | None = None,
        compression: Compression | None = None,
    ) -> aio.StreamStreamCall[bytes, bytes]:
        """Calls a method that streams both ways."""
        call: aio.StreamStreamMultiCallable[bytes, bytes]
        call = self.channel.stream_stream(f"/{SERVICE}/{name}")
        return call(requests, timeout=20, compression=compression)

    async def ask_from_thread(self, channel: grpc.Channel, request: bytes) -> bytes:
        """Calls `Echo` through a channel of grpcio's other half, which blocks."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes]
        call = channel.unary_unary(f"/{SERVICE}/Echo")
        return await asyncio.to_thread(call, request, timeout=20)

    @property
    def calls(self) -> int:
        """How many calls have no status yet."""
        state = self.server._state
        assert state is not None
        return state.open_calls

    @property
    def tasks(self) -> int:
        """How many handlers have not returned."""
        state = self.server._state
        assert state is not None
        return len(state.running)

    @property
    def connections(self) -> list[ServerProtocol]:
        """The connections that are open."""
        return list(self.server._connections)  # type: ignore[arg-type]  # it makes them of this kind

    @property
    def held(self) -> int:
        """What is held of requests, in bytes."""
        state = self.server._state
        assert state is not None
        return state.held_requests.total


@asynccontextmanager
async def serving(
    methods: Mapping[str, Handler],
    options: Iterable[tuple[str, int]] = (),
    *,
    handlers: Sequence[grpc.GenericRpcHandler] = (),
    interceptors: Sequence[aio.ServerInterceptor] = (),
    maximum_concurrent_rpcs: int | None = None,
    compression: Compression | None = None,
    trusted_proxies: notecast_wire.TrustedProxies | None = None,
) -> AsyncIterator[Served]:
    """Serves methods by name until the block ends."""
    # Raw clients ping to learn that the server has dealt with what they sent.
    defaults = (("grpc.http2.max_ping_strikes", 0),)
    server = notecast_wire.server(
        handlers=handlers,
        interceptors=interceptors,
        options=(*defaults, *options),
        maximum_concurrent_rpcs=maximum_concurrent_rpcs,
        compression=compression,
        trusted_proxies=trusted_proxies or notecast_wire.TrustedProxies(),
    )
    server.add_registered_method_handlers(SERVICE, dict(methods))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = aio.insecure_channel(f"127.0.0.1:{port}")
    try:
        yield Served(server, port, channel)
    finally:
        await channel.close()
        await server.stop(None)


async def status_of(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """How a call ended that did not go well."""
    try:
        await call
    except aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError("the call went well")


async def first(event: asyncio.Event, seconds: float = 10.0) -> None:
    """Waits for an event with a deadline."""
    await asyncio.wait_for(event.wait(), seconds)
