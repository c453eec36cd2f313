"""Opens `RedisConnection`s: to where redis-py would connect, and as carefully."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from hiredis import ReplyError
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from notecast_runtime.redis.connection import OnProgress, OnPush, RedisConnection
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.name_lookup import NameLookup, Resolve, resolve
from notecast_runtime.redis.refusals import without_arguments

_REFUSED_CREDENTIALS = ("WRONGPASS", "NOAUTH", "ERR AUTH")


class RedisConnector:
    """Makes connections to one Redis: greets each in RESP3, and lets the guard check it.

    Args:
        url: see `ServiceSettings.redis_url`. Its parts mean the same as in redis-py: credentials,
            database, client name, TLS and its files, sockets and keepalive.
        guard: checks every new connection, before anything else.
        timeout_seconds: bound on opening a connection, with all steps.
        resolve: finds the host's addresses.

    Raises:
        ValueError: the URL is invalid.
    """

    def __init__(
        self,
        url: str,
        guard: EpochGuard,
        timeout_seconds: float,
        resolve: Resolve = resolve,
    ) -> None:
        pool = BlockingConnectionPool.from_url(url, socket_connect_timeout=timeout_seconds)
        make_connection: Callable[[], Any] = pool.make_connection
        # redis-py's own reading of the URL; this connection is never opened.
        self._address = make_connection()
        if not isinstance(self._address, UnixDomainSocketConnection):
            self._name = NameLookup(self._address.host, resolve)
        self._guard = guard
        self.primary = guard.primary
        self.timeout_seconds: float = self._address.socket_connect_timeout

    @property
    def address(self) -> str:
        """Redis's address for people: `host:port`, or a socket's path."""
        address = self._address
        if isinstance(address, UnixDomainSocketConnection):
            return str(address.path)
        return f"{address.host}:{address.port}"

    @asynccontextmanager
    async def connected(
        self,
        on_push: OnPush = lambda _: None,
        on_progress: OnProgress = lambda: None,
    ) -> AsyncIterator[RedisConnection]:
        """Opens a connection for the block. For arguments and errors see `open`."""
        connection = await self.open(on_push, on_progress)
        try:
            yield connection
        finally:
            await connection.aclose()

    async def open(
        self,
        on_push: OnPush = lambda _: None,
        on_progress: OnProgress = lambda: None,
    ) -> RedisConnection:
        """Opens a connection on which commands may be sent. The caller closes it.

        Args:
            on_push: see `RedisConnection`.
            on_progress: see `RedisConnection`.

        Raises:
            RefusedError: the address leads to a replica, or otherwise to the wrong server.
            AuthenticationError: Redis refuses the credentials, or requires some.
            RedisTimeoutError: not done in time.
            RedisConnectionError: Redis does not speak RESP3 (before 6.0), has no such database, or
                can't tell yet whether its data are the same as before.
            OSError: Redis can't be reached.
        """
        async with self._greeted(on_push, on_progress) as (connection, stack):
            await self._guard.check(connection.ask)
            stack.pop_all()
        return connection

    async def leads_elsewhere(self) -> bool:
        """Whether the address leads to another run of Redis than the one that the guard met last.

        It uses a connection of its own, which costs Redis little. For errors see `open`.
        """
        async with self._greeted() as (connection, _):
            return await self._guard.leads_elsewhere(connection.ask)

    @asynccontextmanager
    async def _greeted(
        self,
        on_push: OnPush = lambda _: None,
        on_progress: OnProgress = lambda: None,
    ) -> AsyncIterator[tuple[RedisConnection, AsyncExitStack]]:
        """Opens and greets a connection, with a stack that closes it; bounds the block's time."""
        try:
            async with asyncio.timeout(self.timeout_seconds), AsyncExitStack() as stack:
                connection = await self._connect(lambda: RedisConnection(on_push, on_progress))
                stack.push_async_callback(connection.aclose)
                await self._greet(connection)
                yield connection, stack
        except TimeoutError:
            message = f"no connection to Redis within {self.timeout_seconds:g} s"
            raise RedisTimeoutError(message) from None

    async def _connect(self, make: Callable[[], RedisConnection]) -> RedisConnection:
        loop, address = asyncio.get_running_loop(), self._address
        if isinstance(address, UnixDomainSocketConnection):
            _, connection = await loop.create_unix_connection(make, address.path)
            return connection
        transport, connection = await self._connect_to_any(make, await self._name.addresses())
        try:
            self._keep_alive(transport.get_extra_info("socket"))
        except OSError:
            await connection.aclose()
            raise
        return connection

    async def _connect_to_any(
        self, make: Callable[[], RedisConnection], addresses: Sequence[str]
    ) -> tuple[asyncio.Transport, RedisConnection]:
        """Tries the host's addresses in order, until one accepts the connection."""
        loop, named = asyncio.get_running_loop(), self._address
        tls = named.ssl_context.get() if isinstance(named, SSLConnection) else None
        failure = OSError(f"{named.host} has no address")
        for address in addresses:
            try:
                return await loop.create_connection(
                    make, address, named.port, ssl=tls, server_hostname=named.host if tls else None
                )
            except OSError as error:
                failure = error
        raise failure

    def _keep_alive(self, link: socket.socket) -> None:
        if self._address.socket_keepalive:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in self._address.socket_keepalive_options.items():
                link.setsockopt(socket.IPPROTO_TCP, option, value)

    async def _greet(self, connection: RedisConnection) -> None:
        address = self._address
        hello: list[str | int] = ["HELLO", 3]
        if address.username or address.password:
            hello += ["AUTH", address.username or "default", address.password or ""]
        if address.client_name:
            hello += ["SETNAME", address.client_name]
        select = [("SELECT", address.db)] if address.db else []
        greeted, *selected = await connection.ask([hello, *select])
        if isinstance(greeted, ReplyError):
            raise _refused_greeting(str(greeted))
        for answer in selected:
            if isinstance(answer, ReplyError):
                raise RedisConnectionError(f"database {address.db}: {answer}")


def _refused_greeting(refusal: str) -> RedisConnectionError:
    if refusal.startswith(_REFUSED_CREDENTIALS):
        return AuthenticationError(refusal)
    told = without_arguments(refusal)
    return RedisConnectionError(f"RESP3 is needed, of Redis 6.0 or later: {told}")
