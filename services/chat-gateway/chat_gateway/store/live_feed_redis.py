"""The live feed on Redis Pub/Sub: one connection for all rooms.

redis-py's PubSub is not used, for four reasons. It resubscribes silently inside a read, so that no
caller learns that messages may be missing. It returns from `subscribe` before Redis has confirmed.
Its reading ends with the last channel. And it costs more than everything else that a gateway does
for a message.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from chat_gateway.store.live_feed import OnChange, OnMessage
from notecast_runtime.backoff import Backoff
from notecast_runtime.log_limiter import News
from notecast_runtime.redis.client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.redis.connection import OnPush, RedisConnection, pack
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.refusals import RefusedError
from notecast_runtime.tasks import not_cancelled

_CHANNELS_PER_COMMAND = 500

_log = structlog.get_logger(__name__)


class RedisLiveFeed:
    """Implements `LiveFeed`; `run` keeps it connected.

    Args:
        connector: makes the connection.
        redis: client for reads of the same Redis. If the feed's connection goes silent, the
            connections of this client's pool are closed too.
    """

    def __init__(self, connector: RedisConnector, redis: Redis) -> None:
        self._connector = connector
        self._redis = redis
        self._backoff = Backoff()
        self._wanted: set[str] = set()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._on_change: OnChange = lambda: None
        self._losses = News()
        connector.primary.on_lost(self._give_up)
        self._forget_connection()

    def _forget_connection(self) -> None:
        self._connection: RedisConnection | None = None
        self._request_due = False
        self._requested: set[str] = set()
        self._unconfirmed: Counter[str] = Counter()
        self._confirmed: set[str] = set()
        self._complete = False

    @property
    def complete(self) -> bool:
        """Whether all wanted channels are subscribed to; see `LiveFeed.complete`."""
        return self._complete

    async def subscribe(self, channel: str) -> None:
        """Subscribes to a channel; see `LiveFeed.subscribe`."""
        self._wanted.add(channel)
        if channel in self._confirmed and channel in self._requested:
            return
        self._request_soon()
        if channel not in self._waiting:
            self._waiting[channel] = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._waiting[channel])

    def unsubscribe(self, channel: str) -> None:
        """Ends the subscription to a channel."""
        self._wanted.discard(channel)
        if waiting := self._waiting.pop(channel, None):
            waiting.cancel()
        self._request_soon()

    def replace(self) -> None:
        """Replaces the connection."""
        self._give_up(RedisConnectionError("the connection was given up"))

    def _give_up(self, error: Exception) -> None:
        if self._connection is not None:
            self._connection.give_up(error)

    async def run(self, on_message: OnMessage, on_change: OnChange) -> None:
        """Keeps a connection until cancelled: connects, subscribes to all channels, receives.

        After any failure, even a bug, it connects again after a pause.
        """
        self._on_change = on_change
        while not_cancelled():
            silent = False
            try:
                await self._converse(self._hearing(on_message))
            except (*REDIS_AWAY, RedisError) as error:
                silent = isinstance(error, (TimeoutError, RedisTimeoutError))
                text = str(error) or type(error).__name__
                if self._losses.is_new(text):
                    _log.warning("live_feed_lost", address=self._connector.address, error=text)
            except Exception:
                _log.exception("live_feed_failed")
            self._forget_connection()
            on_change()
            if silent:
                await self._give_up_reads()
            await asyncio.sleep(self._backoff.next_delay())

    async def _converse(self, on_push: OnPush) -> None:
        primary = self._connector.primary
        generation = primary.generation
        async with self._connector.connected(on_push) as connection:
            self._connection = connection
            self._request()
            try:
                await connection.tend()
            except RefusedError as error:
                primary.lost(generation, error)
                raise

    def _hearing(self, on_message: OnMessage) -> OnPush:
        """Makes the callback for messages of a connection; kept short: each note passes it."""

        def take(push: list[Any]) -> None:
            if push[0] == b"message":
                on_message(push[1].decode(), push[2])
            elif push[0] == b"subscribe":
                self._confirm(push[1].decode())

        return take

    def _request_soon(self) -> None:
        """Schedules one request for all changes of this turn of the event loop."""
        if self._connection is not None and not self._request_due:
            self._request_due = True
            asyncio.get_running_loop().call_soon(self._request)

    def _request(self) -> None:
        """Subscribes to channels that are newly wanted, and unsubscribes from the others."""
        self._request_due = False
        if self._connection is None:
            return
        dropped = self._requested - self._wanted
        added = self._wanted - self._requested
        self._requested -= dropped
        self._confirmed -= dropped
        self._requested |= added
        self._unconfirmed.update(added)
        commands = [*_commands("UNSUBSCRIBE", dropped), *_commands("SUBSCRIBE", added)]
        if commands:
            with contextlib.suppress(RedisConnectionError):  # it is lost; `run` notices too
                self._connection.send(b"".join(commands), ())
        self._consider_complete()

    def _confirm(self, channel: str) -> None:
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] > 0:
            return  # requested again since: only the last answer counts
        del self._unconfirmed[channel]
        if channel not in self._requested:
            return  # dropped since
        self._confirmed.add(channel)
        if waiting := self._waiting.pop(channel, None):
            waiting.set_result(None)
        self._consider_complete()

    def _consider_complete(self) -> None:
        if not self._complete and self._wanted <= self._confirmed:
            self._complete = True
            self._losses.forget()
            self._backoff.reset()
            self._on_change()

    async def _give_up_reads(self) -> None:
        """Closes the pool's connections: probably dead too, each would cost a whole deadline.

        Also those in use: reads may be repeated. (Sends may not, and use no connection of the
        pool.)
        """
        with contextlib.suppress(*REDIS_AWAY, RedisError):
            await self._redis.connection_pool.disconnect(inuse_connections=True)


def _commands(name: str, channels: Iterable[str]) -> Iterator[bytes]:
    ordered = sorted(channels)
    for begin in range(0, len(ordered), _CHANNELS_PER_COMMAND):
        yield pack((name, *ordered[begin : begin + _CHANNELS_PER_COMMAND]))
