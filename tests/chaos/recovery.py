"""Looks whether the system got well after its faults, with nobody's help."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests.chaos.records import Looked
from tests.chaos.system import System
from tests.support.waiting import eventually

_LONGEST_OUTBOX = 150
"""Entries: of the busiest room's last few seconds, and some more, since Redis trims by blocks."""


async def look(system: System, seconds: float) -> list[Looked]:
    """Returns when all is well, or the time is over. Notes have to come meanwhile, as ever.

    Args:
        system: after all faults.
        seconds: how long each may take.
    """

    async def is_trimmed() -> bool:
        return await system.redis.primary.longest_outbox() <= _LONGEST_OUTBOX

    def readiness_of(name: str) -> Callable[[], Awaitable[bool]]:
        return lambda: system.is_ready(name)

    conditions = {f"{name} is ready": readiness_of(name) for name in system.services}
    conditions[f"no outbox holds more than {_LONGEST_OUTBOX} entries"] = is_trimmed
    looks = (_look(what, condition, seconds) for what, condition in conditions.items())
    return await asyncio.gather(*looks)


async def _look(what: str, condition: Callable[[], Awaitable[bool]], seconds: float) -> Looked:
    try:
        await eventually(condition, what, seconds)
    except AssertionError:
        return Looked(time.monotonic(), what, well=False)
    return Looked(time.monotonic(), what, well=True)
