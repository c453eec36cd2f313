"""Watches whether Redis is short of memory: history makes room before sends are refused."""

import asyncio
from contextlib import suppress
from typing import Any

from notecast_runtime.redis.client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.redis.writes import WriteWatch
from notecast_runtime.tasks import not_cancelled

_SHORT_SHARE = 0.9
"""Share of `maxmemory` above which memory is short."""

_INTERVAL_SECONDS = 1.0


class MemoryWatch:
    """Checks once a second, while `run` runs.

    Args:
        redis: the Redis to check.
        writes: checked at the same time; knows of refused writes.
    """

    def __init__(self, redis: Redis, writes: WriteWatch) -> None:
        self._redis = redis
        self._writes = writes
        self._short = False

    def short(self) -> bool:
        """Whether Redis uses over nine tenths of its `maxmemory`, or refused a write as full."""
        return self._short or self._writes.full

    async def run(self) -> None:
        """Checks until cancelled. Other parts report a Redis that is away."""
        while not_cancelled():
            with suppress(*REDIS_AWAY):
                await self._writes.look()
            with suppress(*REDIS_AWAY, RedisError):
                self._short = _is_short(await self._redis.info("memory"))
            await asyncio.sleep(_INTERVAL_SECONDS)


def _is_short(told: dict[str, Any]) -> bool:
    bound = int(told.get("maxmemory", 0))  # 0: no bound
    return bound > 0 and int(told["used_memory"]) > _SHORT_SHARE * bound
