"""One piece of work that several callers wait for; cancelled when the last of them leaves."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from notecast_runtime.errors import InternalFaultError, OverloadedError
from notecast_runtime.fair_turns import FairTurns
from notecast_runtime.tasks import consume_exception, not_cancelled, outcome_of
from notecast_wire.fairness.clients import ClientId

Result = TypeVar("Result")


class SharedRead(Generic[Result]):
    """Starts with the first turn that one of the waiting clients gets.

    Each client waits for a turn of its own: none has to wait for the many other reads of the
    client that asked first. The others give up their turns once the work has begun.

    Args:
        turns: turns at such work.
        work: does it, for the client whose turn it is. Cancelled when no caller waits any more.

    Attributes:
        asked: the number of callers so far.
        result: the outcome; cancelled when no caller waits any more.
    """

    __slots__ = ("_begun", "_refusal", "_tries", "_turns", "_waiting", "_work", "asked", "result")

    def __init__(
        self, turns: FairTurns, work: Callable[[ClientId], Coroutine[Any, Any, Result]]
    ) -> None:
        self._turns = turns
        self._work = work
        self._begun = False
        self._waiting: Counter[ClientId] = Counter()
        self._tries: dict[ClientId, asyncio.Task[None]] = {}
        self._refusal: OverloadedError | None = None
        self.asked = 0
        self.result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self.result.add_done_callback(consume_exception)

    async def outcome(self, client: ClientId) -> Result:
        """Waits for the work, and returns its result or raises its error.

        Args:
            client: the client that waits. The work may be done in its turn, and counts for it then.

        Raises:
            OverloadedError: too many reads of each waiting client wait for a turn.
            InternalFaultError: the work was cancelled though callers wait for it.
        """
        self.asked += 1
        self._waiting[client] += 1
        if not self._begun and client not in self._tries:
            self._tries[client] = asyncio.create_task(self._do(client))
        try:
            return await outcome_of(self.result)
        finally:
            self._leave(client)

    def cancel(self) -> None:
        """Cancels the work, and the callers that wait for it."""
        self.result.cancel()
        for task in self._tries.values():
            task.cancel()

    async def _do(self, client: ClientId) -> None:
        try:
            async with self._turns.turn(client, None):
                self._begin(client)
                outcome = await self._work(client)
        except Exception as error:
            if isinstance(error, OverloadedError) and not self._begun:
                del self._tries[client]
                self._refusal = error
                self._end_if_refused()
            elif not self.result.done():
                self.result.set_exception(error)
        except asyncio.CancelledError:
            # If this task was not cancelled itself, the cancellation comes from below. Callers
            # would wait for ever.
            if not_cancelled() and not self.result.done():
                self.result.set_exception(InternalFaultError("a read was cancelled"))
            raise
        else:
            if not self.result.done():
                self.result.set_result(outcome)
        finally:
            # A cancelled task refers to what it worked on, and through `self` to itself. All of
            # that would stay until the garbage collector runs.
            if self._tries.get(client) is asyncio.current_task():
                del self._tries[client]

    def _begin(self, client: ClientId) -> None:
        self._begun = True
        mine = self._tries.pop(client)
        for other in self._tries.values():
            other.cancel()
        self._tries = {client: mine}

    def _leave(self, client: ClientId) -> None:
        self._waiting[client] -= 1
        if self._waiting[client]:
            return
        del self._waiting[client]
        if not self._waiting:
            self.cancel()
        elif not self._begun and client in self._tries:
            self._tries.pop(client).cancel()
            self._end_if_refused()

    def _end_if_refused(self) -> None:
        """Fails the callers that wait if none of their clients may wait for a turn."""
        if self._refusal is not None and not self._tries and not self.result.done():
            self.result.set_exception(self._refusal)
