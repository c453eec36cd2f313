"""The one Pub/Sub connection of a gateway: confirmed, watched, and replaced when it is deaf."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio.connection import AbstractConnection

from chat_gateway.feed_probe import FeedProbe
from chat_gateway.live_feed_redis import RedisLiveFeed
from notecast_runtime.epoch_guard import EpochGuard
from notecast_runtime.redis_client import Redis, connect
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


class Heard:
    """A feed in use: what it has heard, and how often its state has changed."""

    def __init__(self, feed: RedisLiveFeed, redis: Redis) -> None:
        self.feed = feed
        self.redis = redis
        self.messages: list[tuple[str, bytes]] = []
        self.states: list[bool] = []

    def hear(self, channel: str, payload: bytes) -> None:
        self.messages.append((channel, payload))

    def change(self) -> None:
        self.states.append(self.feed.complete)


@asynccontextmanager
async def running_feed(
    valkey: ValkeyProcess, kind: type[RedisLiveFeed] = RedisLiveFeed
) -> AsyncIterator[Heard]:
    redis = connect(valkey.url, EpochGuard(), 2)
    heard = Heard(kind(redis), redis)
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
    """Pitfall 3."""
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
    """Pitfall 10."""
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
    """Pitfall 5: a Redis that hangs looks like a quiet one, but for the pings."""
    async with running_feed(valkey) as heard:
        await heard.feed.subscribe("c")
        valkey.pause()
        await eventually(lambda: not heard.feed.complete, "the silence is noticed", seconds=3)
        valkey.resume()
        await eventually(lambda: heard.feed.complete, "a new connection is complete")
        await heard.redis.publish("c", b"after")
        await eventually(lambda: ("c", b"after") in heard.messages, "it was heard")


class ForgetfulFeed(RedisLiveFeed):
    """On its first connection, and unseen, it stops to hear all channels."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.connections: list[AbstractConnection] = []

    async def _request(self, connection: AbstractConnection) -> None:
        self.connections.append(connection)
        await super()._request(connection)

    async def forget(self) -> None:
        await self.connections[0].send_command("UNSUBSCRIBE")


async def test_a_subscription_that_only_looks_alive_is_replaced(valkey: ValkeyProcess) -> None:
    """Pitfall 5: it answers pings, and hears nothing."""
    async with running_feed(valkey, ForgetfulFeed) as heard:
        feed = heard.feed
        assert isinstance(feed, ForgetfulFeed)
        probe = FeedProbe(heard.redis, feed)

        def hear(channel: str, payload: bytes) -> None:
            (probe.hear if channel == probe.channel else hear_other)(payload)

        def hear_other(payload: bytes) -> None:
            heard.messages.append(("c", payload))

        heard.hear = hear  # type: ignore[method-assign]
        probing = asyncio.create_task(probe.run())
        await feed.subscribe("c")
        heard.states.clear()
        await feed.forget()
        await eventually(lambda: False in heard.states, "its deafness is noticed", seconds=3)
        await eventually(lambda: feed.complete, "a new connection is complete")
        assert len(feed.connections) == 2
        probing.cancel()
