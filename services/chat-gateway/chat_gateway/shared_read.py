"""One piece of work for all who wait for its outcome, ended when the last of them leaves."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from notecast_runtime.tasks import hear_out

Result = TypeVar("Result")


class SharedRead(Generic[Result]):
    """Begins the work at once.

    Args:
        work: what to do. It is cancelled when nobody waits for it any more.

    Attributes:
        task: does it.
        asked: how many have waited for it so far.
    """

    __slots__ = ("_waiting", "asked", "task")

    def __init__(self, work: Coroutine[Any, Any, Result]) -> None:
        self.task = asyncio.create_task(work)
        self.task.add_done_callback(hear_out)
        self._waiting = 0
        self.asked = 0

    async def outcome(self) -> Result:
        """What came of the work, once it is done; raises what it has raised."""
        self._waiting += 1
        self.asked += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self.task.cancel()
