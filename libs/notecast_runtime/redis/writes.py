"""Watches whether Redis takes writes, a condition of readiness."""

import asyncio

from notecast_runtime.health import Health
from notecast_runtime.redis.client import REDIS_AWAY, PreparedCommand, Redis, RedisError
from notecast_runtime.redis.primary import WRITE_PROBE
from notecast_runtime.redis.refusals import FULL, Refusal, refusal_of

REDIS_WRITES = "redis_writes"
"""The condition's name."""

_SETTLED_SECONDS = 2.0
"""How long no write may be refused before Redis counts as writable: a full one takes a few."""

_UNKNOWN = Refusal("redis_refuses", "Redis refuses writes")


class WriteWatch:
    """Reports the condition, from a probe that costs as much as a ping, and from refused writes.

    Args:
        redis: the client that probes.
        health: told of `REDIS_WRITES`, with the reason while it does not hold.
    """

    def __init__(self, redis: Redis, health: Health) -> None:
        self._redis = redis
        self._health = health
        self._time = asyncio.get_running_loop().time
        self._refusal: Refusal | None = None
        self._refused_at = 0.0
        self._probe = PreparedCommand(*WRITE_PROBE)

    def refused(self, refusal: Refusal) -> bool:
        """Records that a write was refused; the next look reports it.

        Returns:
            Whether that is new, and worth a look at once.
        """
        news = self._refusal is None
        self._refusal, self._refused_at = refusal, self._time()
        return news

    @property
    def full(self) -> bool:
        """Whether a write was recently refused for lack of memory."""
        return self._refusal is FULL

    async def look(self) -> None:
        """Probes, and reports the condition.

        Raises:
            One of REDIS_AWAY: Redis does not answer; another condition reports that.
        """
        try:
            await self._redis.execute_command(self._probe)  # type: ignore[no-untyped-call]
        except REDIS_AWAY:
            raise
        except RedisError as error:
            self.refused(refusal_of(error) or _UNKNOWN)
        self._report()

    def _report(self) -> None:
        if self._refusal and self._time() - self._refused_at > _SETTLED_SECONDS:
            self._refusal = None
        reason = self._refusal.reason if self._refusal else ""
        self._health.report(REDIS_WRITES, holds=not reason, reason=reason)
