"""Tasks: loops that end when they are asked to, and outcomes that nobody may wait for."""

import asyncio
from typing import Any


def going_on() -> bool:
    """Whether the current task may go on: nobody has cancelled it.

    What a loop that talks to Redis asks each time round. In Python 3.11 `asyncio.wait_for`,
    which redis-py uses for each command, drops a cancellation that comes together with
    its result (fixed in 3.12); the request to end would be lost. (Not for a task that has
    been through a TaskGroup with a failed member: 3.11 counts that as a cancellation.)
    """
    task = asyncio.current_task()
    return task is None or not task.cancelling()


def hear_out(task: asyncio.Future[Any]) -> None:
    """Takes note of how a task ended whose callers may all be gone; else the loop complains."""
    if not task.cancelled():
        task.exception()
