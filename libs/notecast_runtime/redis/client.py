"""Makes clients of Redis: all with deadlines, none that repeats a command by itself."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from notecast_runtime.redis.connection import pack
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.primary import PrimaryWatch, refused
from notecast_runtime.redis.refusals import without_arguments

REDIS_AWAY = (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError)
"""The errors that are raised if Redis can't be reached or does not answer in time."""

__all__ = [
    "REDIS_AWAY",
    "PreparedCommand",
    "Redis",
    "RedisError",
    "connect",
    "with_known_layout",
]


def connect(url: str, guard: EpochGuard, timeout_seconds: float, max_connections: int = 8) -> Redis:
    """Makes a client with a bounded pool; it connects with the first command.

    A command is never sent twice: after a lost reply it is unknown whether it ran. So repeating is
    left to callers that know that it is safe. (By default, redis-py retries.) Answers are bytes.

    Args:
        url: see `ServiceSettings.redis_url`.
        guard: checks every new connection, before anything else.
        timeout_seconds: bound on connecting, on each answer, and on waiting for a
            connection of the pool.
        max_connections: bound on the pool; further commands wait for a connection.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        retry_on_timeout=False,
        protocol=2,
        redis_connect_func=guard.on_connect,
        **_keepalive(url),
    )
    kind = pool.connection_class
    parts = (_LeadsToThePrimary, _LossIsTold, _PackedByHiredis, kind)
    pool.connection_class = type(kind.__name__, parts, {"primary": guard.primary})
    return Redis.from_pool(pool)


def _keepalive(url: str) -> dict[str, bool]:
    """The option that TCP sockets need, and Unix sockets don't accept."""
    return {} if url.startswith("unix:") else {"socket_keepalive": True}


@asynccontextmanager
async def with_known_layout(redis: Redis, guard: EpochGuard) -> AsyncIterator[None]:
    """Runs the block as long as no data of another layout are met.

    If Redis is away at first, the block waits for it.

    Args:
        redis: asked once, before the block begins.
        guard: the guard of all connections of this process.

    Raises:
        LayoutError: data of another layout were met, now or later.
    """
    with suppress(*REDIS_AWAY, RedisError):
        await redis.ping()
    if guard.layout.refusal is not None:
        raise guard.layout.refusal
    async with guard.layout.enforced():
        yield


class PreparedCommand(str):
    """A command that is packed once, and sent many times by a client of `connect`.

    Pass it to `execute_command` as the only argument, in place of the name.

    Args:
        name: the command's name, a single word.
        arguments: all its arguments.

    Attributes:
        packed: the packed bytes.
    """

    __slots__ = ("packed",)

    def __new__(cls, name: str, *arguments: str | bytes | int) -> Self:
        """Makes the string and its bytes: a str only gets its value here."""
        made = super().__new__(cls, name)
        made.packed = pack((name, *arguments))
        return made

    packed: bytes


class _PackedByHiredis:
    """Packs commands in C, like redis-py's own blocking connections.

    Its asyncio connections take eight times as long, which matters for a command with a thousand
    rooms.
    """

    def pack_command(self, *args: Any) -> list[bytes]:  # noqa: ANN401
        """Packs a command; also takes a PreparedCommand."""
        name = args[0]
        if isinstance(name, PreparedCommand):
            return [name.packed]
        if isinstance(name, str) and " " not in name:  # otherwise redis-py splits it first
            return [pack(args)]
        return super().pack_command(*args)  # type: ignore[misc,no-any-return]


class _LossIsTold:
    """Raises the same error on every event loop for a write to a lost connection.

    asyncio's transports raise nothing, and the next read fails. uvloop's raise RuntimeError, which
    redis-py passes on.
    """

    async def send_packed_command(self, *arguments: Any, **others: Any) -> None:  # noqa: ANN401
        """Sends a command; a lost connection is a RedisConnectionError."""
        try:
            await super().send_packed_command(*arguments, **others)  # type: ignore[misc]
        except RuntimeError as error:
            raise RedisConnectionError(f"the connection was lost: {error}") from error


class _LeadsToThePrimary:
    """Ends a connection that leads to the wrong server, whichever connection finds out.

    Attributes:
        primary: watches all connections of the process.
    """

    primary: PrimaryWatch
    is_connected: bool
    disconnect: Callable[..., Awaitable[None]]

    _generation: int | None = None
    """The primary's generation when the connection was made."""

    async def connect(self) -> None:
        """Replaces a connection of an earlier generation; redis-py calls this before each use."""
        generation = self.primary.generation
        if not self.is_connected or self._generation != generation:
            self._generation = None
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[misc]
        self._generation = generation

    async def on_connect(self, *arguments: Any, **others: Any) -> None:  # noqa: ANN401
        """Presents the credentials; an error does not show them."""
        try:
            await super().on_connect(*arguments, **others)  # type: ignore[misc]
        except ResponseError as error:
            raise RedisConnectionError(without_arguments(str(error))) from None

    async def read_response(self, *arguments: Any, **others: Any) -> Any:  # noqa: ANN401
        """Reads an answer; one of the wrong server ends the connection."""
        try:
            return await super().read_response(*arguments, **others)  # type: ignore[misc]
        except RedisError as error:
            lost = refused(error)
            if lost is None or self._generation is None:  # otherwise the guard handles it
                raise
            self.primary.lost(self._generation, lost)
            raise lost from error
