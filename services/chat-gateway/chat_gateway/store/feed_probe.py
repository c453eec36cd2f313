"""Probes periodically that published messages arrive on the live feed.

A subscription may look alive and be dead: its connection answers pings, but leads to a server that
notes are no longer published to, or that has forgotten the subscription. So the gateway publishes
to itself, on the same path as notes, and expects to receive it.
"""

import asyncio
import time
import uuid

import structlog
from hiredis import ReplyError

from chat_gateway.store.live_feed import LiveFeed
from notecast_runtime.errors import UnavailableError
from notecast_runtime.redis.connection import pack
from notecast_runtime.redis.pipeline import RedisPipeline
from notecast_runtime.tasks import not_cancelled

_INTERVAL_SECONDS = 0.4
_PATIENCE_SECONDS = 0.6
"""How long a probe that Redis has accepted may take to arrive."""

_log = structlog.get_logger(__name__)


class FeedProbe:
    """Publishes to itself, and replaces the feed's connection if a probe does not arrive.

    Args:
        pipeline: publishes the probes, like notes.
        feed: should receive them.
        timeout_seconds: bound on the wait for Redis to accept a probe.
    """

    def __init__(self, pipeline: RedisPipeline, feed: LiveFeed, timeout_seconds: float) -> None:
        self.channel = f"nc:probe:{uuid.uuid4().hex}"
        self._pipeline = pipeline
        self._feed = feed
        self._timeout_seconds = timeout_seconds
        self._pending: dict[bytes, float] = {}

    def on_probe(self, payload: bytes) -> None:
        """Takes a message of `channel`; stops waiting for it and for earlier probes."""
        sent_at = self._pending.get(payload)
        if sent_at is not None:
            self._pending = {p: at for p, at in self._pending.items() if at > sent_at}

    async def run(self) -> None:
        """Probes until cancelled."""
        await self._feed.subscribe(self.channel)
        number = 0
        while not_cancelled():
            number += 1
            await self._publish(b"%d" % number)
            await asyncio.sleep(_INTERVAL_SECONDS)
            self._judge()

    async def _publish(self, payload: bytes) -> None:
        self._pending[payload] = time.monotonic()  # before it is sent: it may arrive at once
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        try:
            answer = await self._pipeline.call(pack(("PUBLISH", self.channel, payload)), deadline)
            taken = not isinstance(answer, ReplyError)
        except UnavailableError:
            taken = False
        if not taken:
            self._pending.pop(payload, None)  # Redis itself is away; other parts report that

    def _judge(self) -> None:
        if not self._feed.complete:
            self._pending.clear()  # the connection is being replaced; the new one gets new probes
            return
        oldest = min(self._pending.values(), default=None)
        if oldest is not None and time.monotonic() - oldest > _PATIENCE_SECONDS:
            _log.warning("live_feed_deaf", pending=len(self._pending))
            self._pending.clear()
            self._feed.replace()
