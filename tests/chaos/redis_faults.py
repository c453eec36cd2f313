"""What can be done to Redis itself: it dies, forgets, fails over and back, is full, is ahead."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from tests.chaos.records import Journal
from tests.chaos.schedule import Fault
from tests.chaos.system import System

_AHEAD_SECONDS = (60, 3600)
"""How far a clock may have been ahead: less than many a run, or more than any."""


class RedisFaults:
    """Injects them.

    Args:
        system: whose Redis it is.
        journal: told which data are gone, where that is known.
    """

    def __init__(self, system: System, journal: Journal) -> None:
        self._system = system
        self._servers = system.redis
        self._journal = journal

    async def prepare(self, fault: Fault) -> None:
        """Sees that there are the servers that a fault takes; harms nobody."""
        if fault.kind in _WITH_A_SECOND:
            await self._servers.add_second()
        elif fault.kind in _WITHOUT_A_SECOND:
            await self._servers.forget_second()

    async def inject(self, fault: Fault) -> bool:
        """Injects it; says, once it is over, whether it hit anything."""
        return await REDIS_INJECTIONS[fault.kind](self, fault)

    async def _kill_subscriptions(self, _fault: Fault) -> bool:
        return await self._system.kill_subscriptions() > 0

    async def _restart(self, fault: Fault) -> bool:
        server = self._servers.primary
        await server.kill()
        await asyncio.sleep(fault.seconds)
        await server.start()
        return True

    async def _forget(self, fault: Fault) -> bool:
        server = self._servers.primary
        server.keep_copy()
        await asyncio.sleep(fault.seconds)
        await server.kill()
        server.restore_copy()
        await server.start()
        return True

    async def _fail_over(self, fault: Fault) -> bool:
        """The old primary keeps its connections, and for a while the address leads to it."""
        await self._servers.fail_over()
        await asyncio.sleep(fault.seconds)
        self._system.lead_to_primary()
        return True

    async def _fail_back(self, fault: Fault) -> bool:
        """The address leads elsewhere for a while, and back to what was there before."""
        if not self._servers.may_return:
            return False
        self._system.shut_links()
        await self._servers.part()
        self._system.lead_to_primary()
        await asyncio.sleep(fault.seconds)
        self._system.shut_links()
        gone = await self._servers.go_back()
        for record in gone:
            self._journal.write(record)
        self._system.lead_to_primary()
        return bool(gone)

    async def _fill(self, fault: Fault) -> bool:
        redis = self._servers.primary.redis
        before = await _refusals(redis)
        memory: Any = await redis.info("memory")
        await redis.config_set("maxmemory", memory["used_memory"] // 2)
        await asyncio.sleep(fault.seconds)
        await redis.config_set("maxmemory", 0)
        return await _refusals(redis) > before

    async def _advance_clock(self, fault: Fault) -> bool:
        """Leaves what a clock leaves that was ahead, and is right again."""
        dice = random.Random(fault.at)  # noqa: S311 - to be drawn again
        return await self._servers.advance_ids(dice.choice(_AHEAD_SECONDS)) > 0


async def _refusals(redis: Any) -> int:  # noqa: ANN401 - redis-py's, whose types differ
    """How often the server has refused something for lack of memory."""
    errors = await redis.info("errorstats")
    return int(errors.get("errorstat_OOM", {}).get("count", 0))


REDIS_INJECTIONS: dict[str, Callable[[RedisFaults, Fault], Awaitable[bool]]] = {
    "pubsub-killed": RedisFaults._kill_subscriptions,
    "redis-restarted": RedisFaults._restart,
    "redis-forgets": RedisFaults._forget,
    "redis-failover": RedisFaults._fail_over,
    "redis-failback": RedisFaults._fail_back,
    "redis-full": RedisFaults._fill,
    "clock-ahead": RedisFaults._advance_clock,
}
"""By kind."""

_WITH_A_SECOND = {"redis-failover", "redis-failback"}
_WITHOUT_A_SECOND = {"redis-restarted", "redis-forgets"}
"""A replica would take part in what is done to the primary."""
