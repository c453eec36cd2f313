"""Helpers for tasks: loops that end when cancelled, and outcomes that no caller may await."""

import asyncio
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")


def not_cancelled() -> bool:
    """Whether the current task was not cancelled.

    A loop that talks to Redis checks this in each round. In Python 3.11 `asyncio.wait_for`, which
    redis-py uses for each command, drops a cancellation that comes together with its result (fixed
    in 3.12), so the request to end would be lost. Not for a task that has been through a TaskGroup
    with a failed member: 3.11 counts that as a cancellation.
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()


async def outcome_of(work: asyncio.Future[Result]) -> Result:
    """Waits for work that continues if the caller is cancelled: others may wait for it too.

    `asyncio.shield` does the same at twice the cost. In a storm of joins, thousands wait.

    Args:
        work: the work to wait for.

    Returns:
        Its result. Its exception is raised here too, and so is its cancellation.
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
    """Retrieves a task's exception: its callers may be gone, and asyncio would log it as lost."""
    if not task.cancelled():
        task.exception()
