"""Parts of the service that run as long as it does."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from notecast_runtime.backoff import Backoff
from notecast_runtime.health import Health
from notecast_runtime.tasks import not_cancelled

_RECOVERED_SECONDS = 30.0
"""A part that ran so long begins with a short wait again."""

_log = structlog.get_logger(__name__)


async def supervised(
    part: str, run: Callable[[], Awaitable[None]], health: Health, condition: str
) -> None:
    """Runs a part until it returns or this task is cancelled; starts it again when it dies.

    A part dies by any exception, and by a cancellation that nobody asked this task for.

    Args:
        part: its name, for the log.
        run: begins the part; it is called again after each death.
        health: is told with each death that the condition does not hold. That it holds
            is the part's to say, once it works.
        condition: of readiness.
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
