"""The chat gateway as a process: `python -m chat_gateway`. Everything is wired here."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import structlog
import uvloop

from chat_gateway.api.handlers import SERVICES, add_services
from chat_gateway.api.relay import Relay
from chat_gateway.api.send import Sender
from chat_gateway.api.service import ChatService
from chat_gateway.api.tutorial_service import TutorialService
from chat_gateway.history.history_grpc import GrpcHistory
from chat_gateway.log.ring_budget import RingBudget
from chat_gateway.rooms.data_check import DataCheck
from chat_gateway.rooms.fan_out import FanOut
from chat_gateway.rooms.gap_reader import GapReader
from chat_gateway.rooms.head_check import CONDITIONS, HeadCheck
from chat_gateway.rooms.hub import Hub
from chat_gateway.rooms.room import Doubts, Room, RoomLimits, Shared
from chat_gateway.rooms.room_places import RoomPlaces
from chat_gateway.settings import GatewaySettings
from chat_gateway.store.accept import Acceptor
from chat_gateway.store.feed_probe import FeedProbe
from chat_gateway.store.heads import Heads
from chat_gateway.store.live_feed import OnMessage
from chat_gateway.store.live_feed_redis import RedisLiveFeed
from chat_gateway.store.outbox_range import OutboxRange
from chat_gateway.store.shared_heads import SharedHeads
from chat_gateway.streams.drain import Drain
from chat_gateway.streams.joining import Joiner
from chat_gateway.streams.streams import Streams
from chat_gateway.transport.outlet import Transport
from chat_gateway.transport.outlet_grpcio import GrpcioTransport
from chat_gateway.transport.outlet_wire import WireTransport
from notecast_runtime.fair_turns import FairTurns
from notecast_runtime.garbage import freeze_startup_objects
from notecast_runtime.health import Health
from notecast_runtime.logs import configure_logs
from notecast_runtime.open_files import raise_open_files
from notecast_runtime.redis.address_watch import AddressWatch
from notecast_runtime.redis.client import Redis, connect, with_known_layout
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.layout import exit_on_another_layout
from notecast_runtime.redis.pipeline import RedisPipeline
from notecast_runtime.redis.refusals import Refusal
from notecast_runtime.redis.writes import WriteWatch
from notecast_runtime.server import (
    create_server,
    listen,
    stop_on_signals,
)
from notecast_runtime.settings import (
    load_settings,
    refuse_arguments,
    warn_of_unknown_variables,
)
from notecast_runtime.standard_streams import ClientOf, StandardStreams
from notecast_wire import Deadlines, ShareRatios
from notecast_wire.fairness.shares import Shares

_CANCEL_AGAIN_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class _Redis(NamedTuple):
    """The clients and connections of one gateway to Redis."""

    guard: EpochGuard
    connector: RedisConnector
    pipeline: RedisPipeline
    serving: Redis
    watching: Redis
    """A client with connections of its own, so that a dead one is noticed."""

    @classmethod
    def connect(cls, settings: GatewaySettings) -> "_Redis":
        url, timeout, guard = settings.redis_url, settings.redis_timeout_seconds, EpochGuard()
        connector = RedisConnector(url, guard, timeout)
        serving, watching = connect(url, guard, timeout), connect(url, guard, timeout, 2)
        pipeline = RedisPipeline(connector, Deadlines(asyncio.get_running_loop()))
        return cls(guard, connector, pipeline, serving, watching)

    async def close(self) -> None:
        await self.serving.aclose()
        await self.watching.aclose()


class _Turns(NamedTuple):
    """Turns at work that one client causes and that delays others; all clients share it fairly."""

    joins: FairTurns
    """Joins; concurrent ones share their queries to Redis."""
    reads: FairTurns
    """Reads of history. One that hangs keeps its turn for up to 10 s, so there are many."""
    questions: FairTurns
    """Queries to Redis. Each takes a connection, and together at most half of the pool."""

    @classmethod
    def of(cls, shares: ShareRatios) -> "_Turns":
        return cls(
            FairTurns("joins", 512, shares),
            FairTurns("reads of history", 64, shares),
            FairTurns("questions to Redis", 4, shares),
        )


@asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[int]:
    """Runs a gateway, from start to end; yields the port that it listens on.

    It serves at once, and is ready when Redis is. On leaving it drains, within the grace, and
    closes what it opened. A part that fails for good ends the task that entered, and leaving
    with an exception drains nothing: streams and calls are told to end.
    """
    async with AsyncExitStack() as stack:
        redis = _Redis.connect(settings)
        stack.push_async_callback(redis.close)
        await stack.enter_async_context(with_known_layout(redis.serving, redis.guard))
        history = GrpcHistory(settings.history_target)
        stack.push_async_callback(history.close)
        health = Health(SERVICES, CONDITIONS)

        feed = RedisLiveFeed(redis.connector, redis.serving)
        heads = Heads(redis.serving)
        shares = settings.share_ratios()
        stream_shares = Shares("streams", settings.max_streams, shares)
        transport = _transport(settings)
        standard_streams = StandardStreams(stream_shares, transport.client_of)
        server = create_server(health, SERVICES, transport, standard_streams)
        shared_heads = SharedHeads(heads)
        turns = _Turns.of(shares)
        data = DataCheck(redis.connector, redis.watching, redis.serving, redis.guard.fence)
        room_parts = _room_parts(
            settings, transport, redis.serving, history, heads, data, turns.reads
        )
        make_room = partial(Room, shared=room_parts)
        places = RoomPlaces(settings.max_open_rooms, shares)
        hub = Hub(make_room, feed, shared_heads, places)
        redis.guard.recall = lambda: data.recall(hub.open_rooms().values())
        joiner = Joiner(hub, shared_heads, heads, data, turns.questions)
        streams = Streams(
            stream_shares,
            settings.slow_reader_seconds,
            lifetime_seconds=settings.stream_lifetime_seconds,
        )
        writes = WriteWatch(redis.watching, health)
        relay = Relay(hub, joiner, streams, transport, settings.redis_timeout_seconds, turns.joins)
        probe = FeedProbe(redis.pipeline, feed, settings.redis_timeout_seconds)
        check = HeadCheck(hub, Heads(redis.watching), feed, writes, health, data)
        acceptor = Acceptor(
            redis.pipeline, settings.idempotency_window_seconds, _alarm(writes, check)
        )

        add_services(
            server,
            *_services(settings, acceptor, relay, history, heads, turns, transport.client_of),
        )
        drain = Drain(health, server, streams, hub, standard_streams, settings.drain_times())
        port = listen(server, settings.listen_host, settings.listen_port)
        parts = [
            redis.pipeline.run(),
            feed.run(_route_live_messages(probe, hub), check.check_now),
            check.run(),
            probe.run(),
            streams.run(),
            AddressWatch(redis.connector).run(),
        ]
        async with _running_parts(parts):
            await server.start()
            _log.info("serving", port=port, transport=settings.transport)
            try:
                yield port
                await drain.run()
            finally:
                await drain.cut_short()
                _log.info("stopped")


def _transport(settings: GatewaySettings) -> Transport:
    make = WireTransport if settings.transport == "wire" else GrpcioTransport
    return make(settings.server_bounds())


def _room_parts(
    settings: GatewaySettings,
    transport: Transport,
    redis: Redis,
    history: GrpcHistory,
    heads: Heads,
    doubts: Doubts,
    reads: FairTurns,
) -> Shared:
    return Shared(
        history=history,
        gaps=GapReader(OutboxRange(redis), history),
        heads=heads,
        doubts=doubts,
        fan_out=FanOut(transport.pace),
        limits=RoomLimits(settings.ring_notes, settings.ring_bytes, transport.run_bytes),
        rings=RingBudget(settings.rings_bytes),
        make_audience=transport.make_audience,
        reads=reads,
    )


def _services(
    settings: GatewaySettings,
    acceptor: Acceptor,
    relay: Relay,
    history: GrpcHistory,
    heads: Heads,
    turns: _Turns,
    client_of: ClientOf,
) -> tuple[ChatService, TutorialService]:
    limits, timeout = settings.request_limits(), settings.redis_timeout_seconds
    sender = Sender(acceptor, limits)
    return (
        ChatService(
            sender,
            relay,
            history,
            heads,
            limits,
            timeout,
            turns.reads,
            turns.questions,
            client_of,
        ),
        TutorialService(settings.tutorial_room, sender, relay, timeout),
    )


def _alarm(writes: WriteWatch, check: HeadCheck) -> Callable[[Refusal], None]:
    def refused(refusal: Refusal) -> None:
        if writes.refused(refusal):
            check.check_now()

    return refused


def _route_live_messages(probe: FeedProbe, hub: Hub) -> OnMessage:
    def route(channel: str, payload: bytes) -> None:
        if channel == probe.channel:
            probe.on_probe(payload)
        else:
            hub.on_live_message(channel, payload)

    return route


@asynccontextmanager
async def _running_parts(parts: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs the parts during the block; one that fails ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part) for part in parts]
        try:
            yield
        finally:
            await _end(tasks)


async def _end(parts: list[asyncio.Task[None]]) -> None:
    """Cancels the parts, again if a cancellation was swallowed on its way."""
    while not all(part.done() for part in parts):
        for part in parts:
            part.cancel()
        await asyncio.wait(parts, timeout=_CANCEL_AGAIN_SECONDS)


async def _serve(settings: GatewaySettings) -> None:
    stop = stop_on_signals()
    async with running(settings):
        freeze_startup_objects()
        await stop.wait()


def main() -> None:
    """Runs a gateway until SIGTERM or SIGINT; a wrong setting ends it at once."""
    refuse_arguments("chat-gateway", GatewaySettings, sys.argv[1:])
    settings = load_settings(GatewaySettings)
    configure_logs("chat-gateway", settings.log_level)
    warn_of_unknown_variables()
    raise_open_files()
    with exit_on_another_layout():
        uvloop.run(_serve(settings))


if __name__ == "__main__":
    main()
