"""Drains a gateway: no client is cut off that can be sent elsewhere."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from chat_gateway.rooms.hub import Hub
from chat_gateway.streams.drain_times import DrainTimes
from chat_gateway.streams.streams import Streams
from notecast_runtime.errors import ShuttingDownError
from notecast_runtime.health import Health
from notecast_runtime.standard_streams import StandardStreams

_TICK_SECONDS: Final = 0.05

_log = structlog.get_logger(__name__)


class Server(Protocol):
    """The part of `grpc.aio.Server` that a drain needs."""

    async def stop(self, grace: float | None) -> None:
        """Refuses new calls, and returns once the open ones have ended, or were cut."""


class Drain:
    """Ends one gateway.

    Args:
        health: reports not ready first, so that load balancers choose other gateways.
        server: refuses new calls such that clients and proxies retry them elsewhere.
        streams: sent away, each with its positions.
        hub: ends the streams that can't be sent away.
        standard_streams: ended as soon as new calls are refused: they have no position to resume.
        times: the times of the steps.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        health: Health,
        server: Server,
        streams: Streams,
        hub: Hub,
        standard_streams: StandardStreams,
        times: DrainTimes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._server = server
        self._streams = streams
        self._hub = hub
        self._standard_streams = standard_streams
        self._times = times
        self._clock = clock

    async def run(self) -> None:
        """Drains; returns when all calls have ended, or were cut at the end of the grace."""
        times, began = self._times, self._clock()
        _log.info("draining", streams=len(self._streams))
        self._health.stop()
        await asyncio.sleep(times.refuse_at)
        # New calls are refused first: a client that is sent away must not come back here.
        stopping = asyncio.create_task(self._server.stop(times.cut_at - times.refuse_at))
        self._standard_streams.close()
        told = 0
        while not stopping.done() and (elapsed := self._clock() - began) < times.farewell_at:
            told += self._send_away(elapsed, told)
            await asyncio.wait({stopping}, timeout=_TICK_SECONDS)
        _log.info("drained", told=told, left=len(self._streams))
        self._close_hub()
        await stopping

    async def cut_short(self) -> None:
        """Ends all calls at once, if `run` did not finish."""
        self._health.stop()
        self._standard_streams.close()
        self._close_hub()
        await self._server.stop(self._times.cut_at)

    def _send_away(self, elapsed: float, told: int) -> int:
        untold = self._streams.staying
        self._streams.send_away(self._times.due(elapsed, told, untold))
        return untold - self._streams.staying

    def _close_hub(self) -> None:
        self._hub.close(ShuttingDownError("this gateway is about to end; another one serves"))
