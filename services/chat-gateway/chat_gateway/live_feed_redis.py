"""The live feed on Redis Pub/Sub: one connection, one reader.

redis-py's own PubSub is not used: it subscribes again by itself inside of a read, so
that nobody learns that messages may be missing; it returns from `subscribe` before Redis
has confirmed; and its reading ends with the last channel.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable

import structlog
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from chat_gateway.live_feed import OnChange, OnMessage
from notecast_runtime.backoff import Backoff
from notecast_runtime.redis_client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.tasks import going_on

_PING_SECONDS = 0.3
_SILENCE_SECONDS = 1.0
"""Redis answers each ping, so a connection that is silent for longer is dead."""

_CHANNELS_PER_COMMAND = 500

_log = structlog.get_logger(__name__)


class RedisLiveFeed:
    """Implements `LiveFeed`; `run` is its life.

    Args:
        redis: makes the connection (address, credentials, TLS, deadlines), in RESP2.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._backoff = Backoff()
        self._wanted: set[str] = set()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._changed = asyncio.Event()
        self._forget_connection()

    def _forget_connection(self) -> None:
        self._requested: set[str] = set()
        self._unconfirmed: Counter[str] = Counter()
        self._heard: set[str] = set()
        self._complete = False
        self._given_up = False

    @property
    def complete(self) -> bool:
        """As LiveFeed.complete."""
        return self._complete

    async def subscribe(self, channel: str) -> None:
        """As LiveFeed.subscribe."""
        self._wanted.add(channel)
        self._changed.set()
        if channel in self._heard and channel in self._requested:
            return
        if channel not in self._waiting:
            self._waiting[channel] = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._waiting[channel])

    def unsubscribe(self, channel: str) -> None:
        """As LiveFeed.unsubscribe."""
        self._wanted.discard(channel)
        if waiting := self._waiting.pop(channel, None):
            waiting.cancel()
        self._changed.set()

    def replace(self) -> None:
        """As LiveFeed.replace."""
        self._given_up = True
        self._changed.set()

    async def run(self, on_message: OnMessage, on_change: OnChange) -> None:
        """Keeps a connection, until cancelled: connects, subscribes to what is wanted, hears.

        Whatever ends it, a fault of ours too, it begins again after a pause.
        """
        while going_on():
            silent = False
            try:
                await self._converse(on_message, on_change)
            except (*REDIS_AWAY, RedisError) as error:
                silent = isinstance(error, TimeoutError)
                _log.warning("live_feed_lost", error=str(error) or type(error).__name__)
            except Exception:
                _log.exception("live_feed_failed")
            self._forget_connection()
            on_change()
            if silent:
                # So are the pool's, likely, and each would cost its user a whole deadline.
                await self._redis.connection_pool.disconnect(inuse_connections=True)
            await asyncio.sleep(self._backoff.next_delay())

    async def _converse(self, on_message: OnMessage, on_change: OnChange) -> None:
        make_connection: Callable[[], AbstractConnection] = (
            self._redis.connection_pool.make_connection
        )
        connection = make_connection()
        tasks: list[asyncio.Task[None]] = []
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            self._changed.set()
            tasks = [
                asyncio.create_task(self._read(connection, on_message, on_change)),
                asyncio.create_task(self._request(connection)),
            ]
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(*REDIS_AWAY, RedisError):
                await connection.disconnect(nowait=True)

    async def _request(self, connection: AbstractConnection) -> None:
        """Asks for what is wanted as that changes, and pings."""
        while going_on():
            self._changed.clear()
            if self._given_up:
                raise RedisConnectionError("the connection was given up")
            dropped = self._requested - self._wanted
            added = self._wanted - self._requested
            self._requested -= dropped
            self._heard -= dropped
            self._requested |= added
            self._unconfirmed.update(added)
            for command, channels in (("UNSUBSCRIBE", dropped), ("SUBSCRIBE", added)):
                for part in _parts(channels):
                    await connection.send_command(command, *part)
            await connection.send_command("PING")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PING_SECONDS):
                    await self._changed.wait()

    async def _read(
        self, connection: AbstractConnection, on_message: OnMessage, on_change: OnChange
    ) -> None:
        while going_on():
            message = await connection.read_response(
                disable_decoding=True, timeout=_SILENCE_SECONDS
            )
            if message is None:  # how redis-py says that the time is over
                raise TimeoutError(f"nothing for {_SILENCE_SECONDS:g} s, no pong either")
            match message:
                case [b"message", channel, payload]:
                    on_message(channel.decode(), payload)
                case [b"subscribe", channel, _]:
                    self._confirm(channel.decode())
            if not self._complete and self._wanted <= self._heard:
                self._complete = True
                self._backoff.reset()
                on_change()

    def _confirm(self, channel: str) -> None:
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] > 0:
            return  # asked for again since: only the last answer counts
        del self._unconfirmed[channel]
        if channel not in self._requested:
            return  # dropped since
        self._heard.add(channel)
        if waiting := self._waiting.pop(channel, None):
            waiting.set_result(None)


def _parts(channels: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(channels)
    for begin in range(0, len(ordered), _CHANNELS_PER_COMMAND):
        yield ordered[begin : begin + _CHANNELS_PER_COMMAND]
