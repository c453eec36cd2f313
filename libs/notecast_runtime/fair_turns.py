"""Turns at work that costs much, fair between the clients that ask for it."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from notecast_runtime.errors import OverloadedError
from notecast_runtime.tasks import consume_exception
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import ShareRatios, Shares

Result = TypeVar("Result")

_MAX_WAITING: Final = 1_000
"""For one connection of a client; who opens more streams than that is refused elsewhere."""

_MAX_WAITING_UNTOLD: Final = 10_000
"""For all connections of an address where they are not known."""

_Waiting = deque[asyncio.Future[bool]]
"""Of one client: whether its turn has come, or its time is up."""


class FairTurns:
    """Lets so many work at a time; of those that wait, the clients take turns.

    A client that asks for much waits behind itself, and behind each other client once: addresses
    take turns, and the connections of an address among themselves. What one may have under way
    is a share of all.

    Args:
        name: of the turns, in the plural.
        total: how many there are at a time.
        ratios: how many of them are for a client and for a connection.
    """

    def __init__(self, name: str, total: int, ratios: ShareRatios) -> None:
        self._shares = Shares(name, total, ratios)
        self._waiting: OrderedDict[str, OrderedDict[ClientId, _Waiting]] = OrderedDict()

    @property
    def under_way(self) -> int:
        """How many turns are taken."""
        return self._shares.held

    def turn(self, client: ClientId, timeout_seconds: float | None) -> "_Turn":
        """A turn, for as long as a block runs: `async with turns.turn(…)`.

        A task that is cancelled while it waits has none.

        Args:
            client: for whom.
            timeout_seconds: bound on the wait; None for any time.

        Raises:
            OverloadedError: on entering: no turn came in time, or too many of the client's wait
                already.
        """
        return _Turn(self, client, timeout_seconds)

    async def run(
        self, client: ClientId, timeout_seconds: float | None, work: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Does the work in a turn. Once begun it goes to its end, even if its caller leaves.

        It is for commands to Redis: one that is cut off costs its connection.

        Args:
            client: for whom.
            timeout_seconds: bound on the wait for the turn; None for any time.
            work: what to do.

        Raises:
            OverloadedError: as `turn`.
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
        """Waits for a turn; whoever has one gives it back.

        Args:
            client: for whom.
            timeout_seconds: bound on the wait; None for any time.

        Raises:
            OverloadedError: as `turn`.
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
            self.give_back(client)  # its turn had just come, and so had the end of its task
            return
        connections = self._waiting.get(client.address)
        queue = None if connections is None else connections.get(client)
        if queue is not None:  # else it was passed over already
            with suppress(ValueError):
                queue.remove(future)
            self._forget_if_empty(client)

    def give_back(self, client: ClientId) -> None:
        """Ends a turn that was taken for the client, and lets in whom that makes room for."""
        self._shares.give_back(client)
        while self._let_one_in():
            pass

    def _let_one_in(self) -> bool:
        """Gives a turn to the next of those that may have one."""
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


class _Turn:
    """One turn, as a block. A generator would do, but each join of a storm has one."""

    __slots__ = ("_client", "_timeout_seconds", "_turns")

    def __init__(self, turns: FairTurns, client: ClientId, timeout_seconds: float | None) -> None:
        self._turns = turns
        self._client = client
        self._timeout_seconds = timeout_seconds

    async def __aenter__(self) -> None:
        await self._turns.take(self._client, self._timeout_seconds)

    async def __aexit__(self, *_: object) -> None:
        self._turns.give_back(self._client)
