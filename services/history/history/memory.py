"""Whether Redis is short of memory, so that history makes room before sends are refused."""

import asyncio
from contextlib import suppress
from typing import Any

from notecast_runtime.redis.client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.redis.writes import WriteWatch
from notecast_runtime.tasks import not_cancelled

_SHORT_SHARE = 0.9
"""Of `maxmemory`."""

_INTERVAL_SECONDS = 1.0


class MemoryWatch:
    """Looks once a second; `run` is its life.

    Args:
        redis: is asked.
        writes: looks at the same time, and knows of what was refused.
    """

    def __init__(self, redis: Redis, writes: WriteWatch) -> None:
        self._redis = redis
        self._writes = writes
        self._short = False

    def short(self) -> bool:
        """Whether nine tenths of what Redis may have are taken, or a write was refused."""
        return self._short or self._writes.full

    async def run(self) -> None:
        """Looks until cancelled. A Redis that is away is told of by who needs it."""
        while not_cancelled():
            with suppress(*REDIS_AWAY):
                await self._writes.look()
            with suppress(*REDIS_AWAY, RedisError):
                self._short = _is_short(await self._redis.info("memory"))
            await asyncio.sleep(_INTERVAL_SECONDS)


def _is_short(told: dict[str, Any]) -> bool:
    bound = int(told.get("maxmemory", 0))  # 0: there is none
    return bound > 0 and int(told["used_memory"]) > _SHORT_SHARE * bound
