"""Tasks: loops that end when they are asked to, and outcomes that nobody may wait for."""

import asyncio
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")


def not_cancelled() -> bool:
    """Whether the current task may go on: nobody has cancelled it.

    What a loop that talks to Redis asks each time round. In Python 3.11 `asyncio.wait_for`,
    which redis-py uses for each command, drops a cancellation that comes together with
    its result (fixed in 3.12); the request to end would be lost. (Not for a task that has
    been through a TaskGroup with a failed member: 3.11 counts that as a cancellation.)
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()


async def outcome_of(work: asyncio.Future[Result]) -> Result:
    """Waits for work that goes on when its caller is cancelled: others may wait for it, too.

    `asyncio.shield` does so as well, for twice the price. In a storm of joins, thousands wait.

    Args:
        work: what is waited for.

    Returns:
        What comes of it. What it raises is raised here, too, and so is that it was cancelled.
    """
    if not work.done():
        done = asyncio.get_running_loop().create_future()
        wake = partial(_wake, done)
        work.add_done_callback(wake)
        try:
            await done
        finally:
            if not work.done():
                work.remove_done_callback(wake)
    return work.result()


def _wake(done: asyncio.Future[None], _work: asyncio.Future[Any]) -> None:
    if not done.done():
        done.set_result(None)


def consume_exception(task: asyncio.Future[Any]) -> None:
    """Takes note of how a task ended whose callers may all be gone; else the loop complains."""
    if not task.cancelled():
        task.exception()
