"""One piece of work for all who wait for its outcome, ended when the last of them leaves."""

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
    """Begins in the first turn that comes to one of those who wait.

    Each client waits for a turn of its own, so that nobody waits behind the many other reads of
    whoever asked first. The others give theirs up once it has begun.

    Args:
        turns: at such work.
        work: does it, for the client whose turn it is. It is cancelled when nobody waits any more.

    Attributes:
        asked: how many have waited for it so far.
        result: what comes of it; cancelled where nobody waits any more.
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
        """What came of the work, once it is done; raises what it has raised.

        Args:
            client: who waits. The work may be done in its turn, and then counts for it.

        Raises:
            OverloadedError: no turn is to be had: too many reads of each who waits do so already.
            InternalFaultError: the work was cancelled, though somebody waits for it.
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
        """Ends the work; who waits for it is cancelled too."""
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
            # Where nobody has cancelled this task, the cancellation comes from below. Those who
            # wait would wait for ever.
            if not_cancelled() and not self.result.done():
                self.result.set_exception(InternalFaultError("a read was cancelled"))
            raise
        else:
            if not self.result.done():
                self.result.set_result(outcome)
        finally:
            # A task that is cancelled leads to what it had in hand, and by `self` to itself: all of
            # that would stay until the collector of garbage runs.
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
        """Tells those who wait that none of them has come to wait for a turn."""
        if self._refusal is not None and not self._tries and not self.result.done():
            self.result.set_exception(self._refusal)
