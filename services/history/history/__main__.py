"""The history service as a process: `python -m history`. Everything is wired here."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import structlog
import uvloop

from history.leases import Leases, replica_name
from history.memory import MemoryWatch
from history.outbox_reader import OutboxReader
from history.outbox_tail import OutboxTail
from history.paging import Pager
from history.persist_script import Persister
from history.persist_worker import PERSISTING, REDIS, PersistWorker
from history.replay import Replayer
from history.retention import RETENTION, AgeRetention
from history.room_log import RoomLog
from history.service import CONTRACT, SERVICE, HistoryServicer
from history.settings import HistorySettings
from history.supervision import supervised
from notecast_runtime.client_metadata import client_behind
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
from notecast_runtime.redis.writes import REDIS_WRITES, WriteWatch
from notecast_runtime.registration import add_service
from notecast_runtime.server import create_server, listen, stop_on_signals
from notecast_runtime.settings import (
    load_settings,
    refuse_arguments,
    warn_of_unknown_variables,
)
from notecast_runtime.standard_streams import MAX_STREAMS, StandardStreams
from notecast_runtime.transports import WireServerTransport
from notecast_wire.fairness.shares import ShareRatios, Shares

_READING_CONNECTIONS = 16
_REPLAYS = 6
_PAGES = 6
"""Concurrent reads, fewer than the connections: a read that has its turn need not wait for one."""
_WRITING_CONNECTIONS = 2  # the worker's and the sweep's
_BLOCK_SECONDS = 0.5
_SERVING_SHARE = 0.9
"""Share of the grace for calls and the current batch; the rest is for closing."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: HistorySettings) -> AsyncIterator[int]:
    """Runs the whole service, from start to orderly end; yields the port that it serves on.

    At the end it reports not ready, lets calls in flight and the current batch finish within the
    grace, and closes its connections.
    """
    async with AsyncExitStack() as stack:
        guard = EpochGuard()
        reading = await _connected(stack, settings, guard, _READING_CONNECTIONS)
        await stack.enter_async_context(with_known_layout(reading, guard))
        writing = await _connected(stack, settings, guard, _WRITING_CONNECTIONS)
        conditions = [
            REDIS,
            REDIS_WRITES,
            PERSISTING,
            *([RETENTION] if settings.retention_seconds else []),
        ]
        health = Health([SERVICE], conditions)
        memory = MemoryWatch(reading, WriteWatch(reading, health))
        address = AddressWatch(
            RedisConnector(settings.redis_url, guard, settings.redis_timeout_seconds)
        )
        worker = _worker(settings, writing, health, memory)
        log, tail = RoomLog(reading), OutboxTail(reading)
        replays = FairTurns("replays", _REPLAYS, ShareRatios())
        pages = FairTurns("pages", _PAGES, ShareRatios())
        transport = WireServerTransport()
        servicer = HistoryServicer(
            Replayer(log, tail),
            Pager(log, tail),
            replays,
            pages,
            client_behind(transport.client_of),
        )

        # grpcio's server cancels, or forgets, calls that arrive as its stop begins.
        shares = Shares("streams", MAX_STREAMS, ShareRatios())
        streams = StandardStreams(shares, transport.client_of)
        server = create_server(health, [SERVICE], transport, streams)
        add_service(server, CONTRACT, servicer)
        port = listen(server, settings.listen_host, settings.listen_port)
        await server.start()
        persisting = asyncio.create_task(supervised("worker", worker.run, health, PERSISTING))
        sweeping = asyncio.create_task(_sweep(settings, writing, health))
        watching = [
            asyncio.create_task(supervised("memory", memory.run, health, REDIS_WRITES)),
            asyncio.create_task(supervised("address", address.run, health, REDIS)),
        ]
        _log.info("serving", port=port)
        try:
            yield port
        finally:
            _log.info("stopping")
            health.stop()
            streams.close()
            worker.stop()
            sweeping.cancel()
            for watch in watching:
                watch.cancel()
            grace = settings.shutdown_grace_seconds * _SERVING_SHARE
            await asyncio.gather(server.stop(grace), _finish(persisting, grace))
            await _finish(sweeping, 0)
            for watch in watching:
                await _finish(watch, 0)
            _log.info("stopped")


async def _connected(
    stack: AsyncExitStack, settings: HistorySettings, guard: EpochGuard, connections: int
) -> Redis:
    redis = connect(settings.redis_url, guard, settings.redis_timeout_seconds, connections)
    stack.push_async_callback(redis.aclose)
    return redis


def _worker(
    settings: HistorySettings, redis: Redis, health: Health, memory: MemoryWatch
) -> PersistWorker:
    leases = Leases(redis, replica=replica_name(), lease_seconds=settings.lease_seconds)
    reader = OutboxReader(
        redis,
        batch_notes=settings.persist_batch,
        # A wait as long as the deadline of answers would look as if Redis were away.
        block_seconds=min(_BLOCK_SECONDS, settings.redis_timeout_seconds / 2),
    )
    persister = Persister(
        redis,
        retention_notes=settings.retention_notes,
        outbox_trim_margin_seconds=settings.outbox_trim_margin_seconds,
    )
    return PersistWorker(leases, reader, persister, health, memory.short)


async def _sweep(settings: HistorySettings, redis: Redis, health: Health) -> None:
    if settings.retention_seconds:
        retention = AgeRetention(
            redis,
            health,
            max_age_seconds=settings.retention_seconds,
            sweep_seconds=settings.retention_sweep_seconds,
        )
        await supervised("retention", retention.run, health, RETENTION)


async def _finish(task: asyncio.Task[None], seconds: float) -> None:
    """Waits for a task that was told to end; cancels it after `seconds`."""
    _, late = await asyncio.wait({task}, timeout=seconds)
    if late:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _serve(settings: HistorySettings) -> None:
    stop = stop_on_signals()
    async with running(settings):
        freeze_startup_objects()
        await stop.wait()


def main() -> None:
    """Runs the command `history`."""
    refuse_arguments("history", HistorySettings, sys.argv[1:])
    settings = load_settings(HistorySettings)
    configure_logs("history", settings.log_level)
    warn_of_unknown_variables()
    raise_open_files()
    with exit_on_another_layout():
        uvloop.run(_serve(settings))


if __name__ == "__main__":
    main()
