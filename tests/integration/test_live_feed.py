"""The one Pub/Sub connection of a gateway: confirmed, watched, and replaced when it is deaf."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from chat_gateway.store.feed_probe import FeedProbe
from chat_gateway.store.live_feed_redis import RedisLiveFeed
from notecast_runtime.redis.client import Redis, connect
from notecast_runtime.redis.connection import RedisConnection, pack
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.pipeline import RedisPipeline
from notecast_wire import Deadlines
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


class RememberingConnector(RedisConnector):
    """Keeps what it has opened, oldest first."""

    def __init__(self, url: str) -> None:
        super().__init__(url, EpochGuard(), 2)
        self.opened: list[RedisConnection] = []

    async def open(self, *arguments: Any, **others: Any) -> RedisConnection:  # noqa: ANN401
        self.opened.append(await super().open(*arguments, **others))
        return self.opened[-1]


class Heard:
    """A feed in use: what it has heard, and how often its state has changed."""

    def __init__(self, connector: RememberingConnector, redis: Redis) -> None:
        self.feed = RedisLiveFeed(connector, redis)
        self.connections = connector.opened
        self.redis = redis
        self.messages: list[tuple[str, bytes]] = []
        self.states: list[bool] = []

    def hear(self, channel: str, payload: bytes) -> None:
        self.messages.append((channel, payload))

    def change(self) -> None:
        self.states.append(self.feed.complete)


@asynccontextmanager
async def running_feed(valkey: ValkeyProcess) -> AsyncIterator[Heard]:
    redis = connect(valkey.url, EpochGuard(), 5)
    heard = Heard(RememberingConnector(valkey.url), redis)
    task = asyncio.create_task(heard.feed.run(heard.hear, heard.change))
    try:
        await eventually(lambda: heard.feed.complete, "the feed is complete")
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await redis.aclose()


async def test_what_is_published_once_subscribe_has_returned_is_heard(
    valkey: ValkeyProcess,
) -> None:
    """`subscribe` returns only once Redis has confirmed it."""
    async with running_feed(valkey) as heard:
        for number in range(50):
            channel = f"c{number}"
            await heard.feed.subscribe(channel)
            await heard.redis.publish(channel, b"first")
            await eventually(
                lambda channel=channel: (channel, b"first") in heard.messages,  # type: ignore[misc]
                f"{channel} was heard",
            )


async def test_a_channel_that_is_left_and_wanted_again_at_once_is_heard(
    valkey: ValkeyProcess,
) -> None:
    async with running_feed(valkey) as heard:
        for number in range(200):
            await heard.feed.subscribe("c")
            await heard.redis.publish("c", b"%d" % number)
            await eventually(
                lambda number=number: ("c", b"%d" % number) in heard.messages,  # type: ignore[misc]
                f"{number} was heard",
            )
            heard.feed.unsubscribe("c")
            if number % 2:
                await asyncio.sleep(0)


async def test_the_feed_lives_on_when_the_last_channel_is_left(valkey: ValkeyProcess) -> None:
    """The connection does not depend on there being a channel."""
    async with running_feed(valkey) as heard:
        await heard.feed.subscribe("c")
        heard.feed.unsubscribe("c")

        async def left() -> bool:
            return await heard.redis.pubsub_channels() == []

        await eventually(left, "nothing is subscribed to")
        await heard.feed.subscribe("c")
        await heard.redis.publish("c", b"again")
        await eventually(lambda: ("c", b"again") in heard.messages, "it was heard")
        assert heard.feed.complete


async def test_a_silent_connection_is_given_up_and_a_new_one_is_complete(
    valkey: ValkeyProcess,
) -> None:
    """A Redis that hangs looks like a quiet one; only pings tell them apart."""
    async with running_feed(valkey) as heard:
        await heard.feed.subscribe("c")
        valkey.pause()
        await eventually(lambda: not heard.feed.complete, "the silence is noticed", seconds=3)
        valkey.resume()
        await eventually(lambda: heard.feed.complete, "a new connection is complete")
        await heard.redis.publish("c", b"after")
        await eventually(lambda: ("c", b"after") in heard.messages, "it was heard")


async def test_a_silent_connection_takes_those_of_readers_with_it(valkey: ValkeyProcess) -> None:
    """They are likely as dead, and nobody is to wait for that until his deadline."""
    async with running_feed(valkey) as heard:
        waiting: asyncio.Future[Any] = asyncio.ensure_future(heard.redis.blpop(["list"], 0))
        with valkey.client() as redis:
            await eventually(lambda: redis.info("clients")["blocked_clients"], "it waits")
            idle = await heard.redis.client_id()
            valkey.pause()
            await eventually(lambda: not heard.feed.complete, "the silence is noticed", seconds=3)
            with pytest.raises(RedisConnectionError):  # and not that its time is over
                await waiting
            valkey.resume()
            await eventually(lambda: heard.feed.complete, "a new connection is complete")
            assert await heard.redis.ping()
            assert str(idle) not in {client["id"] for client in redis.client_list()}


async def test_a_refused_subscription_is_asked_for_again_until_it_is_confirmed(
    valkey: ValkeyProcess,
) -> None:
    with valkey.client() as redis:
        redis.execute_command("ACL", "SETUSER", "default", "resetchannels")
        async with running_feed(valkey) as heard:
            subscribing = asyncio.create_task(heard.feed.subscribe("c"))
            await eventually(lambda: len(heard.connections) > 2, "it was refused and tried again")
            assert not subscribing.done()
            redis.execute_command("ACL", "SETUSER", "default", "allchannels")
            async with asyncio.timeout(10):
                await subscribing
            await heard.redis.publish("c", b"at last")
            await eventually(lambda: ("c", b"at last") in heard.messages, "it was heard")


async def test_thousands_of_channels_are_heard_again_on_a_new_connection(
    valkey: ValkeyProcess,
) -> None:
    channels = [f"channel {number}" for number in range(3_000)]
    async with running_feed(valkey) as heard:
        await asyncio.gather(*map(heard.feed.subscribe, channels))
        with valkey.client() as redis:
            redis.client_kill_filter(_type="pubsub")
            await eventually(lambda: len(heard.connections) == 2, "there is a new connection")
            await eventually(lambda: heard.feed.complete, "it is complete")
            for channel in channels[::500]:
                assert redis.publish(channel, "x") == 1
        expected = [(channel, b"x") for channel in channels[::500]]
        await eventually(lambda: heard.messages == expected, "all were heard in their order")


async def test_a_subscription_that_only_looks_alive_is_replaced(valkey: ValkeyProcess) -> None:
    """The connection answers pings, but receives no messages."""
    async with running_feed(valkey) as heard:
        feed = heard.feed
        deadlines = Deadlines(asyncio.get_running_loop())
        pipeline = RedisPipeline(RememberingConnector(valkey.url), deadlines)
        publishing = asyncio.create_task(pipeline.run())
        probe = FeedProbe(pipeline, feed, timeout_seconds=2)

        def hear(channel: str, payload: bytes) -> None:
            (probe.on_probe if channel == probe.channel else hear_other)(payload)

        def hear_other(payload: bytes) -> None:
            heard.messages.append(("c", payload))

        heard.hear = hear  # type: ignore[method-assign]
        probing = asyncio.create_task(probe.run())
        await feed.subscribe("c")
        heard.states.clear()
        heard.connections[0].send(pack(("UNSUBSCRIBE",)), ())
        await eventually(lambda: False in heard.states, "its deafness is noticed", seconds=3)
        await eventually(lambda: feed.complete, "a new connection is complete")
        assert len(heard.connections) == 2
        for task in (probing, publishing):
            task.cancel()
        await asyncio.gather(probing, publishing, return_exceptions=True)
