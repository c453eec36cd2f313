"""The misbehaving proxy, between a real client and a real server."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.proxy import Proxy, ReplyTrap
from tests.support.waiting import eventually

_SECONDS = 5.0
_SHORT = 0.2


class Echo:
    """Answers each line with itself; remembers what it was sent."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections += 1
        try:
            while line := await reader.readline():
                self.received.append(line)
                writer.write(line)
        except ConnectionResetError:
            pass
        finally:
            self.connections -= 1
            writer.close()


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Echo, Proxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    await proxy.start()
    try:
        yield echo, proxy
    finally:
        proxy.stop()
        await eventually(lambda: echo.connections == 0, "all connections are gone")
        server.close()
        await server.wait_closed()


class Line:
    """A client's connection."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def say(self, line: bytes) -> None:
        self.writer.write(line)

    async def hear(self, seconds: float = _SECONDS) -> bytes:
        async with asyncio.timeout(seconds):
            return await self._reader.readline()

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            await self.hear(_SHORT)


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


async def test_it_forwards_both_ways() -> None:
    async with proxied() as (_, proxy), connected(proxy) as line:
        line.say(b"one\n")
        assert await line.hear() == b"one\n"


async def test_it_forwards_more_than_its_buffers_hold() -> None:
    long = b"x" * 60_000 + b"\n"
    async with proxied() as (_, proxy), connected(proxy) as line:
        for _ in range(100):
            line.say(long)
        for _ in range(100):
            assert await line.hear() == long


async def test_the_end_of_one_side_is_the_end_of_the_other() -> None:
    async with proxied() as (echo, proxy):
        async with connected(proxy) as line:
            line.say(b"one\n")
            await line.hear()
        await eventually(lambda: echo.connections == 0, "the server learns of the end")


async def test_a_stalled_connection_stays_open_and_goes_on_later() -> None:
    async with proxied() as (echo, proxy), connected(proxy) as line:
        proxy.stall()
        line.say(b"one\n")
        await line.hears_nothing()
        assert echo.received == []
        proxy.resume()
        assert await line.hear() == b"one\n"


async def test_what_a_client_said_before_it_gave_up_a_stalled_connection_arrives() -> None:
    async with proxied() as (echo, proxy), connected(proxy) as line:
        line.say(b"one\n")
        await line.hear()
        proxy.stall()
        line.say(b"two\n")
        await line.writer.drain()
        line.writer.close()
        await line.writer.wait_closed()
        proxy.resume()
        await eventually(lambda: echo.received == [b"one\n", b"two\n"], "it arrives")


async def test_a_connection_made_while_stalled_is_taken_and_waits() -> None:
    async with proxied() as (_, proxy):
        proxy.stall()
        async with connected(proxy) as line:
            line.say(b"one\n")
            await line.hears_nothing()
            proxy.resume()
            assert await line.hear() == b"one\n"


async def test_only_connections_that_sent_the_marker_are_stalled() -> None:
    async with proxied() as (_, proxy), connected(proxy) as marked, connected(proxy) as plain:
        marked.say(b"SUBSCRIBE\n")
        assert await marked.hear() == b"SUBSCRIBE\n"
        proxy.stall(b"SUBSCRIBE")
        marked.say(b"one\n")
        plain.say(b"two\n")
        assert await plain.hear() == b"two\n"
        await marked.hears_nothing()
        proxy.resume()
        assert await marked.hear() == b"one\n"


async def test_a_cut_resets_the_connections_of_now_only() -> None:
    async with proxied() as (_, proxy):
        async with connected(proxy) as line:
            line.say(b"one\n")
            await line.hear()
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                await line.hear()
        async with connected(proxy) as another:
            another.say(b"two\n")
            assert await another.hear() == b"two\n"


async def test_a_half_open_connection_swallows_everything_until_it_is_cut() -> None:
    async with proxied() as (echo, proxy), connected(proxy) as line:
        line.say(b"one\n")
        await line.hear()
        proxy.half_open()
        line.say(b"two\n")
        await line.hears_nothing()
        async with connected(proxy) as another:
            another.say(b"three\n")
            assert await another.hear() == b"three\n"
        assert echo.received == [b"one\n", b"three\n"]
        proxy.cut_half_open()
        with pytest.raises(ConnectionResetError):
            await line.hear()


async def test_the_other_side_does_not_learn_that_a_half_open_connection_ended() -> None:
    async with proxied() as (echo, proxy):
        async with connected(proxy) as line:
            line.say(b"one\n")
            await line.hear()
            proxy.half_open()
        async with connected(proxy) as another:
            another.say(b"two\n")
            await another.hear()
            assert echo.connections == 2


async def test_it_refuses_new_connections_while_told_to() -> None:
    async with proxied() as (_, proxy):
        proxy.refuse(on=True)
        async with connected(proxy) as line:
            with pytest.raises(ConnectionResetError):
                await line.hear()
        proxy.refuse(on=False)
        async with connected(proxy) as another:
            another.say(b"one\n")
            assert await another.hear() == b"one\n"


async def test_a_trap_loses_the_reply_of_one_request_that_was_executed() -> None:
    async with proxied() as (echo, proxy), connected(proxy) as line:
        trap = proxy.trap = ReplyTrap(b"SEND", b"SEND")
        line.say(b"PING\n")
        assert await line.hear() == b"PING\n"
        line.say(b"SEND\n")
        with pytest.raises(ConnectionResetError):
            await line.hear()
        assert echo.received == [b"PING\n", b"SEND\n"]
        assert trap.sprung.is_set()
        assert proxy.trap is None


async def test_what_comes_with_dropped_bytes_vanishes_and_the_connection_lives() -> None:
    async with proxied() as (_, proxy), connected(proxy) as line:
        proxy.dropped = b"message"
        line.say(b"message one\n")
        await line.hears_nothing()
        line.say(b"pong\n")
        assert await line.hear() == b"pong\n"
