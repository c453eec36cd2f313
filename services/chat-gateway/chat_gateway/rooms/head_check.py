"""Checks periodically whether the open rooms agree with what Redis holds."""

import asyncio
import contextlib
import time
from collections.abc import Iterable

import structlog

from chat_gateway.log.positions import Head, PartitionHeads
from chat_gateway.rooms.data_check import DataCheck
from chat_gateway.rooms.head_comparison import PartitionRooms, in_parts
from chat_gateway.rooms.hub import Hub
from chat_gateway.rooms.room import Room
from chat_gateway.store.heads import Heads
from chat_gateway.store.live_feed import LiveFeed
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.health import Health
from notecast_runtime.redis.client import REDIS_AWAY
from notecast_runtime.redis.refusals import refusal_of
from notecast_runtime.redis.writes import REDIS_WRITES, WriteWatch
from notecast_runtime.tasks import not_cancelled

REDIS = "redis"
LIVE_FEED = "live_feed"
CONDITIONS = (REDIS, REDIS_WRITES, LIVE_FEED)
"""Conditions of readiness: Redis answers, it takes writes, every open room is subscribed to."""

_INTERVAL_SECONDS = 1.0
_ANSWER_SECONDS = 0.5
"""A connection that has not answered by then is given up: it may be silently dead."""
_RETRY_SECONDS = 0.05
_CHECKS_PER_FULL_LOOK = 10
"""Only one check of so many looks at rooms of which Redis reports nothing new."""
_GRACE_SECONDS = 0.2
"""How long after the answer that counts it a live note may still arrive."""

_log = structlog.get_logger(__name__)


class HeadCheck:
    """Compares the newest sequences of the open rooms with Redis's heads.

    A room that is behind fetches the notes that it missed. The same query shows whether Redis is
    there, so this class also reports the conditions of readiness.

    Args:
        hub: the open rooms.
        heads: reads heads, on connections of its own: a dead one is then found here.
        feed: its completeness is a condition.
        writes: checks whether Redis takes writes, on connections of its own too.
        health: told of `CONDITIONS`.
        data: finds out whether Redis still holds what was seen.
    """

    def __init__(
        self,
        hub: Hub,
        heads: Heads,
        feed: LiveFeed,
        writes: WriteWatch,
        health: Health,
        data: DataCheck,
    ) -> None:
        self._hub = hub
        self._writes = writes
        self._data = data
        self._checks = 0
        self._earlier = 0
        self._heads = heads
        self._feed = feed
        self._health = health
        self._wanted_now = asyncio.Event()
        self._parts: list[list[PartitionRooms]] = []
        self._parts_made_at = -1
        self._untold: set[int] = set()

    def check_now(self) -> None:
        """Makes the next check at once."""
        self._wanted_now.set()

    async def run(self) -> None:
        """Checks until cancelled: at intervals, on `check_now`, and soon after a failure."""
        while not_cancelled():
            self._wanted_now.clear()
            self._health.report(LIVE_FEED, holds=self._feed.complete)
            answered = await self._redis_answers()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL_SECONDS if answered else _RETRY_SECONDS):
                    await self._wanted_now.wait()

    async def _redis_answers(self) -> bool:
        reason = ""
        try:
            await self._check()
        except (RedisUnavailableError, *REDIS_AWAY) as error:
            _log.debug("head_check_failed", error=str(error))
            refusal = refusal_of(error.__cause__ or error)
            reason = refusal.reason if refusal else "redis_away"
        self._health.report(REDIS, holds=not reason, reason=reason)
        return not reason

    async def _check(self) -> None:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await self._writes.look()  # a ping that tells more
        behind: list[tuple[Room, Head]] = []
        news: list[tuple[int, PartitionHeads]] = []
        self._checks += 1
        for part in self._open_rooms():
            async with asyncio.timeout(_ANSWER_SECONDS):
                behind += await self._behind(part, news)
        # In this order: what was read before this look is not newer than what the look finds.
        await self._data.look()
        self._data.see_heads(news)
        if behind:
            await asyncio.sleep(_GRACE_SECONDS)
        for room, head in behind:
            if self._hub.holds(room):
                room.on_head(head)
        await self._check_data(behind)

    async def _check_data(self, behind: Iterable[tuple[Room, Head]]) -> None:
        """Asks the guard to check data that are of an earlier epoch than a room.

        If they still are after that, this connection leads to another server than new ones do.
        """
        held = [(room, head) for room, head in behind if self._hub.holds(room)]
        self._earlier += 1
        if not any(head.epoch < room.log.epoch for room, head in held):
            self._earlier = 0
        if self._earlier > 1:
            await self._data.reconnect()
        elif self._earlier:
            await self._data.check()

    def _open_rooms(self) -> list[list[PartitionRooms]]:
        """All open rooms, by partition; grouped anew only after a change."""
        if self._parts_made_at != self._hub.changes:
            self._parts_made_at = self._hub.changes
            self._parts = list(in_parts(self._hub.open_rooms().values()))
        return self._parts

    async def _behind(
        self, part: list[PartitionRooms], news: list[tuple[int, PartitionHeads]]
    ) -> list[tuple[Room, Head]]:
        """The rooms that lack something that Redis holds; adds all heads to `news`."""
        full = self._checks % _CHECKS_PER_FULL_LOOK == 0
        shown = [rooms.shown() if full else () for rooms in part]
        asked_at = time.monotonic()
        answers = await self._heads.partition_heads([rooms.query for rooms in part])
        behind: list[tuple[Room, Head]] = []
        for rooms, answer, had in zip(part, answers, shown, strict=True):
            if isinstance(answer, RedisUnavailableError):
                self._tell_untold(rooms.query.partition, answer)
                continue
            self._untold.discard(rooms.query.partition)
            news.append((rooms.query.partition, answer))
            for room in rooms.beyond(answer, had):
                self._data.suspect(room.name, room.log.epoch, room.outbox_id)
            behind += rooms.behind(answer, asked_at)
            if full:
                behind += rooms.below_floor(answer)
        return behind

    def _tell_untold(self, partition: int, error: RedisUnavailableError) -> None:
        if partition not in self._untold:  # else an earlier check has logged it
            _log.error("partition_failed", partition=partition, error=str(error.__cause__ or error))
        self._untold.add(partition)
