"""Connections to Redis: every one with deadlines, none that repeats a command by itself."""

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
"""What is raised when Redis can't be reached or does not answer in time."""

__all__ = [
    "REDIS_AWAY",
    "PreparedCommand",
    "Redis",
    "RedisError",
    "connect",
    "with_known_layout",
]


def connect(url: str, guard: EpochGuard, timeout_seconds: float, max_connections: int = 8) -> Redis:
    """A client with a bounded pool; nothing is connected before the first command.

    A command is never sent twice: after a lost reply nobody knows whether it ran, so
    repeating is left to callers who know that it is safe. (redis-py's own default is to
    retry.) Answers are bytes.

    Args:
        url: as in ServiceSettings.redis_url.
        guard: asked on every new connection, before anything else.
        timeout_seconds: bound on connecting, on each answer, and on waiting for a
            connection of the pool.
        max_connections: bound on the pool; further commands wait their turn.
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
    """What sockets of TCP need, and those of a path don't take."""
    return {} if url.startswith("unix:") else {"socket_keepalive": True}


@asynccontextmanager
async def with_known_layout(redis: Redis, guard: EpochGuard) -> AsyncIterator[None]:
    """Runs what is inside for as long as no data of another layout are met.

    A Redis that is away at first is waited for by whoever is inside.

    Args:
        redis: asked once, before anything inside begins.
        guard: of all connections of this process.

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
    """A command whose bytes are made once, to be sent many times by a client of `connect`.

    It goes to `execute_command` alone, in the place of the name, which it is.

    Args:
        name: the command's, a single word.
        arguments: all that follows it.

    Attributes:
        packed: the bytes.
    """

    __slots__ = ("packed",)

    def __new__(cls, name: str, *arguments: str | bytes | int) -> Self:
        """As str's: a string can only be given its value here."""
        made = super().__new__(cls, name)
        made.packed = pack((name, *arguments))
        return made

    packed: bytes


class _PackedByHiredis:
    """Has commands made into bytes in C, as redis-py's own blocking connections have.

    Its asyncio ones take eight times as long, which tells where a command names a thousand rooms.
    """

    def pack_command(self, *args: Any) -> list[bytes]:  # noqa: ANN401
        """As redis-py's, and takes a PreparedCommand."""
        name = args[0]
        if isinstance(name, PreparedCommand):
            return [name.packed]
        if isinstance(name, str) and " " not in name:  # else it takes it apart first
            return [pack(args)]
        return super().pack_command(*args)  # type: ignore[misc,no-any-return]


class _LossIsTold:
    """Makes one error of what each event loop says of writing to a connection that was lost.

    asyncio's transports say nothing, and the next read fails; uvloop's raise RuntimeError,
    which redis-py hands on as it is.
    """

    async def send_packed_command(self, *arguments: Any, **others: Any) -> None:  # noqa: ANN401
        """As redis-py's."""
        try:
            await super().send_packed_command(*arguments, **others)  # type: ignore[misc]
        except RuntimeError as error:
            raise RedisConnectionError(f"the connection was lost: {error}") from error


class _LeadsToThePrimary:
    """Ends a connection that leads to the wrong server, whoever finds it out.

    Attributes:
        primary: of all connections of the process.
    """

    primary: PrimaryWatch
    is_connected: bool
    disconnect: Callable[..., Awaitable[None]]

    _generation: int | None = None
    """Of the primary, since the connection is made."""

    async def connect(self) -> None:
        """As redis-py's, which calls it before each use; a connection of before is replaced."""
        generation = self.primary.generation
        if not self.is_connected or self._generation != generation:
            self._generation = None
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[misc]
        self._generation = generation

    async def on_connect(self, *arguments: Any, **others: Any) -> None:  # noqa: ANN401
        """As redis-py's, which presents the credentials."""
        try:
            await super().on_connect(*arguments, **others)  # type: ignore[misc]
        except ResponseError as error:
            raise RedisConnectionError(without_arguments(str(error))) from None

    async def read_response(self, *arguments: Any, **others: Any) -> Any:  # noqa: ANN401
        """As redis-py's."""
        try:
            return await super().read_response(*arguments, **others)  # type: ignore[misc]
        except RedisError as error:
            lost = refused(error)
            if lost is None or self._generation is None:  # else the guard sees to it
                raise
            self.primary.lost(self._generation, lost)
            raise lost from error
