"""The chat gateway: everything is made and joined together here, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from chat_gateway.accept import Acceptor
from chat_gateway.fan_out import FanOut
from chat_gateway.feed_probe import FeedProbe
from chat_gateway.gap_reader import GapReader
from chat_gateway.handlers import SERVICES, add_services
from chat_gateway.head_check import CONDITIONS, HeadCheck
from chat_gateway.heads import Heads
from chat_gateway.history_grpc import GrpcHistory
from chat_gateway.hub import Hub
from chat_gateway.live_feed_redis import RedisLiveFeed
from chat_gateway.outbox_range import OutboxRange
from chat_gateway.relay import Relay
from chat_gateway.ring_budget import RingBudget
from chat_gateway.room import Room
from chat_gateway.send import Sender
from chat_gateway.service import ChatService
from chat_gateway.settings import GatewaySettings
from chat_gateway.streams import Streams
from chat_gateway.tutorial_service import TutorialService
from notecast_runtime.epoch_guard import EpochGuard
from notecast_runtime.errors import ShuttingDownError
from notecast_runtime.health import Health
from notecast_runtime.logs import configure_logs
from notecast_runtime.redis_client import connect
from notecast_runtime.server import create_server, listen, stop_on_signals
from notecast_runtime.settings import load_settings

_CANCEL_AGAIN_SECONDS = 0.5

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[int]:
    """A gateway, from its start to its end; gives the port that it listens on.

    It serves at once, and is ready when Redis is. On leaving it ends every stream, lets
    calls in flight finish within the grace, and closes what it opened. A part that fails
    for good ends the task that entered.
    """
    guard = EpochGuard()
    redis = connect(settings.redis_url, guard, settings.redis_timeout_seconds)
    watching = connect(settings.redis_url, guard, settings.redis_timeout_seconds, 2)
    history = GrpcHistory(settings.history_target)
    health = Health(SERVICES, CONDITIONS)
    limits = settings.request_limits()
    timeout = settings.redis_timeout_seconds

    fan_out = FanOut()
    feed = RedisLiveFeed(redis)
    heads = Heads(redis)
    gaps = GapReader(OutboxRange(redis), history)

    rings = RingBudget(settings.rings_bytes)

    def make_room(name: str) -> Room:
        return Room(name, history, gaps, heads, fan_out, settings.room_limits(), rings)

    hub = Hub(make_room, feed, heads, settings.max_open_rooms)
    streams = Streams(settings.max_streams, settings.slow_reader_seconds)
    probe = FeedProbe(watching, feed)

    def hear(channel: str, payload: bytes) -> None:
        if channel == probe.channel:
            probe.hear(payload)
        else:
            hub.hear(channel, payload)

    check = HeadCheck(hub, Heads(watching), feed, health)
    acceptor = Acceptor(redis, settings.idempotency_window_seconds)
    sender = Sender(acceptor, limits)
    relay = Relay(hub, heads, streams, timeout)

    server = create_server(health, SERVICES)
    add_services(
        server,
        ChatService(sender, relay, history, heads, limits, timeout),
        TutorialService(settings.tutorial_room, sender, relay, timeout),
    )
    port = listen(server, settings.listen_host, settings.listen_port)
    try:
        async with asyncio.TaskGroup() as tasks:
            parts = [
                tasks.create_task(acceptor.run()),
                tasks.create_task(feed.run(hear, check.poke)),
                tasks.create_task(check.run()),
                tasks.create_task(probe.run()),
                tasks.create_task(streams.run()),
            ]
            await health.start()
            await server.start()
            _log.info("serving", port=port)
            try:
                yield port
            finally:
                _log.info("stopping")
                await health.stop()
                hub.close(ShuttingDownError("this gateway is about to end; another one serves"))
                await server.stop(settings.shutdown_grace_seconds)
                await _end(parts)
    finally:
        await history.close()
        await redis.aclose()
        await watching.aclose()


async def _end(parts: list[asyncio.Task[None]]) -> None:
    """Cancels the parts, again where a cancellation was swallowed on its way."""
    while not all(part.done() for part in parts):
        for part in parts:
            part.cancel()
        await asyncio.wait(parts, timeout=_CANCEL_AGAIN_SECONDS)


async def _serve(settings: GatewaySettings) -> None:
    stop = stop_on_signals()
    async with running(settings):
        await stop.wait()


def main() -> None:
    """Runs a gateway until SIGTERM or SIGINT; a wrong setting ends it at once."""
    settings = load_settings(GatewaySettings)
    configure_logs("chat-gateway", settings.log_level)
    asyncio.run(_serve(settings))


if __name__ == "__main__":
    main()
