"""Turns at expensive work, fair between the clients that ask for it."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, TypeVar

from notecast_runtime.errors import OverloadedError
from notecast_runtime.tasks import consume_exception
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import ShareRatios, Shares

Result = TypeVar("Result")

_MAX_WAITING: Final = 1_000
"""Bound for one connection of a client. (More streams than that are refused elsewhere.)"""

_MAX_WAITING_UNTOLD: Final = 10_000
"""Bound for an address whose connections are not known."""

_Waiting = deque[asyncio.Future[bool]]
"""The queue of one client. True: its turn has come; False: its time is up."""


class FairTurns:
    """Bounds concurrent work; the clients that wait take turns.

    A client that asks for much waits for its own work, and once for each other client: addresses
    take turns, and so do the connections of an address. One client may have only a share of the
    total under way.

    Args:
        name: the name of the turns, in the plural.
        total: the number of turns at a time.
        ratios: the shares of a client and of a connection.
    """

    def __init__(self, name: str, total: int, ratios: ShareRatios) -> None:
        self._shares = Shares(name, total, ratios)
        self._waiting: OrderedDict[str, OrderedDict[ClientId, _Waiting]] = OrderedDict()

    @property
    def under_way(self) -> int:
        """The number of turns that are taken."""
        return self._shares.held

    @asynccontextmanager
    async def turn(self, client: ClientId, timeout_seconds: float | None) -> AsyncIterator[None]:
        """Gives a turn for as long as a block runs: `async with turns.turn(…)`.

        A task that is cancelled while it waits gets no turn.

        Args:
            client: the client to work for.
            timeout_seconds: bound on the wait; None: no bound.

        Raises:
            OverloadedError: no turn came in time, or too many calls of the client wait already.
        """
        await self.take(client, timeout_seconds)
        try:
            yield
        finally:
            self.give_back(client)

    async def run(
        self, client: ClientId, timeout_seconds: float | None, work: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Does the work in a turn. Once started it runs to its end, even if its caller leaves.

        For commands to Redis: an interrupted one costs its connection.

        Args:
            client: the client to work for.
            timeout_seconds: bound on the wait for the turn; None: no bound.
            work: the work to do.

        Raises:
            OverloadedError: see `turn`.
        """
        await self.take(client, timeout_seconds)

        async def done_in_turn() -> Result:
            try:
                return await work()
            finally:
                self.give_back(client)

        task = asyncio.create_task(done_in_turn())
        task.add_done_callback(consume_exception)
        return await asyncio.shield(task)

    async def take(self, client: ClientId, timeout_seconds: float | None) -> None:
        """Waits for a turn. The caller must give it back.

        Args:
            client: the client to work for.
            timeout_seconds: bound on the wait; None: no bound.

        Raises:
            OverloadedError: see `turn`.
        """
        connections = self._waiting.get(client.address)
        waits_already = connections is not None and client in connections
        if not waits_already and self._shares.take(client) is None:
            return
        future = self._enter_queue(client)
        # Lighter than `asyncio.timeout`: each join of a storm waits here.
        timer = None
        if timeout_seconds is not None:
            timer = asyncio.get_running_loop().call_later(timeout_seconds, _give_up, future)
        came = False
        try:
            came = await future
        finally:
            if timer is not None:
                timer.cancel()
            if not came:
                self._leave_queue(client, future)
        if not came:
            raise OverloadedError(
                f"no turn at {self._shares.name} came within {timeout_seconds:g} s"
            )

    def _enter_queue(self, client: ClientId) -> asyncio.Future[bool]:
        connections = self._waiting.setdefault(client.address, OrderedDict())
        queue = connections.setdefault(client, deque())
        most, whose = _MAX_WAITING, "connection"
        if not client.connection:
            most, whose = _MAX_WAITING_UNTOLD, "address"
        if len(queue) >= most:
            raise OverloadedError(f"{most} {self._shares.name} of this {whose} wait")
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        queue.append(future)
        return future

    def _leave_queue(self, client: ClientId, future: asyncio.Future[bool]) -> None:
        if future.done() and not future.cancelled() and future.result():
            self.give_back(client)  # its turn came at the same moment as the end of its task
            return
        connections = self._waiting.get(client.address)
        queue = None if connections is None else connections.get(client)
        if queue is not None:  # else it was passed over already
            with suppress(ValueError):
                queue.remove(future)
            self._forget_if_empty(client)

    def give_back(self, client: ClientId) -> None:
        """Ends a turn of the client, and gives free turns to clients that wait."""
        self._shares.give_back(client)
        while self._let_one_in():
            pass

    def _let_one_in(self) -> bool:
        """Gives a turn to the next client that may have one; False: there is none."""
        if self._shares.held >= self._shares.total:
            return False
        for address, connections in self._waiting.items():
            for client, queue in connections.items():
                if queue[0].done():  # its time is up, or its task has ended
                    queue.popleft()
                    self._forget_if_empty(client)
                    return True
                refusal = self._shares.take(client)
                if refusal is None:
                    queue.popleft().set_result(True)
                    connections.move_to_end(client)
                    self._waiting.move_to_end(address)
                    self._forget_if_empty(client)
                    return True
                if refusal.scope != "connection":
                    break
        return False

    def _forget_if_empty(self, client: ClientId) -> None:
        connections = self._waiting[client.address]
        if not connections[client]:
            del connections[client]
            if not connections:
                del self._waiting[client.address]


def _give_up(turn: asyncio.Future[bool]) -> None:
    if not turn.done():
        turn.set_result(False)
