"""Proves again and again that what is published is heard.

A subscription may look alive and be none: its connection answers pings, and the server
behind it is not the one that is published to any more, or has forgotten it. So the gateway
publishes to itself, on the way that notes take, and expects to hear it.
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
"""How long a probe that Redis has taken may be on its way."""

_log = structlog.get_logger(__name__)


class FeedProbe:
    """Publishes to itself, and has the feed's connection replaced when that is not heard.

    Args:
        pipeline: publishes, as it does notes.
        feed: should hear.
        timeout_seconds: bound on the wait for Redis to take a probe.
    """

    def __init__(self, pipeline: RedisPipeline, feed: LiveFeed, timeout_seconds: float) -> None:
        self.channel = f"nc:probe:{uuid.uuid4().hex}"
        self._pipeline = pipeline
        self._feed = feed
        self._timeout_seconds = timeout_seconds
        self._unheard: dict[bytes, float] = {}

    def on_probe(self, payload: bytes) -> None:
        """Takes what came on `channel`; what was sent before that is no more waited for."""
        sent_at = self._unheard.get(payload)
        if sent_at is not None:
            self._unheard = {p: at for p, at in self._unheard.items() if at > sent_at}

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
        self._unheard[payload] = time.monotonic()  # before it is sent: it may be heard at once
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        try:
            answer = await self._pipeline.call(pack(("PUBLISH", self.channel, payload)), deadline)
            taken = not isinstance(answer, ReplyError)
        except UnavailableError:
            taken = False
        if not taken:
            self._unheard.pop(payload, None)  # Redis itself is away, of which others tell

    def _judge(self) -> None:
        if not self._feed.complete:
            self._unheard.clear()  # it is being replaced; the new one gets new probes
            return
        oldest = min(self._unheard.values(), default=None)
        if oldest is not None and time.monotonic() - oldest > _PATIENCE_SECONDS:
            _log.warning("live_feed_deaf", unheard=len(self._unheard))
            self._unheard.clear()
            self._feed.replace()
