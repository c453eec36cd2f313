"""Waiting for a condition with a deadline: what tests do instead of sleeping."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_INTERVAL_SECONDS = 0.02


async def eventually(
    condition: Callable[[], Awaitable[object] | object],
    what: str | Callable[[], str],
    seconds: float = 10.0,
) -> None:
    """Returns once the condition (a plain or async function) gives something true.

    Raises:
        AssertionError: it did not within the time; names `what`, which may be a function that
            says it then.
    """
    deadline = time.monotonic() + seconds
    while True:
        outcome = condition()
        if isinstance(outcome, Awaitable):
            outcome = await outcome
        if outcome:
            return
        if time.monotonic() > deadline:
            words = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {seconds:g} s: {words}")
        await asyncio.sleep(_INTERVAL_SECONDS)
