"""Restarts parts of the service that die."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from notecast_runtime.backoff import Backoff
from notecast_runtime.health import Health
from notecast_runtime.tasks import not_cancelled

_RECOVERED_SECONDS = 30.0
"""After a run of this length, the wait before a restart is short again."""

_log = structlog.get_logger(__name__)


async def supervised(
    part: str, run: Callable[[], Awaitable[None]], health: Health, condition: str
) -> None:
    """Runs a part until it returns or this task is cancelled; restarts it when it dies.

    A part dies by any exception, and by a cancellation that was not a cancellation of this task.

    Args:
        part: its name, for the log.
        run: runs the part; called again after each death.
        health: told at each death that the condition does not hold. The part itself reports that
            it holds, once it works.
        condition: a condition of readiness.
    """
    backoff = Backoff()
    loop = asyncio.get_running_loop()
    while True:
        begin = loop.time()
        try:
            await run()
        except asyncio.CancelledError:
            if not not_cancelled():
                raise
            _log.exception("part_died", part=part)
        except Exception:
            _log.exception("part_died", part=part)
        else:
            return
        health.report(condition, holds=False)
        if loop.time() - begin > _RECOVERED_SECONDS:
            backoff.reset()
        await asyncio.sleep(backoff.next_delay())
