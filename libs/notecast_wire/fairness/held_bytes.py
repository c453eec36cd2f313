"""Counts the bytes held for each client, and evicts if they are too many."""

from collections.abc import Callable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import Scope, ShareRatios, ShareRefusal

_COMPARED: Final = 256
"""An eviction compares this many of a connection's oldest entries by size: it must not cost more
than what led to it."""

_NONE: Final[Mapping[ClientId, int]] = MappingProxyType({})


class Holder(Protocol):
    """An object that can give up data that it holds."""

    def lose(self, held: object, refusal: ShareRefusal) -> None:
        """Gives up the data: its client, or all clients, hold more than the refusal allows.

        They must not be held afterwards. Giving up may cause further changes.
        """


class _Held(NamedTuple):
    holder: Holder
    size: int


class HeldBytes:
    """Counts bytes by client and connection, and evicts data of clients over their share.

    Data are not refused when they come: they are in memory by then. Excess data are evicted soon
    after, all at once. A client over its share loses its own data. If the total is exceeded, the
    client that holds most loses. The largest data go first; of equally large ones, the oldest.

    Args:
        name: the name of the data, in the plural, for errors: `bytes of requests that wait`.
        total: the bound on all data.
        ratios: the shares of a client and of a connection.
        soon: schedules a call, such as `loop.call_soon`.

    Attributes:
        total: the bytes held now.
    """

    __slots__ = (
        "_clients",
        "_connections",
        "_held",
        "_limits",
        "_name",
        "_over",
        "_soon",
        "total",
    )

    def __init__(
        self,
        name: str,
        total: int,
        ratios: ShareRatios,
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self.total = 0
        self._name = name
        self._limits = ratios.of(total)
        self._soon = soon
        self._held: dict[ClientId, dict[object, _Held]] = {}
        self._connections: dict[str, dict[ClientId, int]] = {}
        self._clients: dict[str, int] = {}
        self._over: set[ClientId] | None = None

    def hold(self, holder: Holder, held: object, client: ClientId, size: int) -> None:
        """Sets the size of held data.

        Args:
            holder: gives the data up if necessary.
            held: the data, as the holder knows them. Must be hashable.
            client: the client for which they are held.
            size: their size in bytes; 0: they are no longer held.
        """
        of_connection = self._held.get(client)
        before = None if of_connection is None else of_connection.get(held)
        change = size - (0 if before is None else before.size)
        if not change:
            return
        if of_connection is None:
            of_connection = self._held[client] = {}
        if size:
            of_connection[held] = _Held(holder, size)
        else:
            del of_connection[held]
        self._count(client, change, nothing=not of_connection)
        if change > 0 and self._is_over(client):
            if self._over is None:
                self._over = set()
                self._soon(self.settle)
            self._over.add(client)

    def settle(self) -> None:
        """Evicts data of clients over a bound."""
        over, self._over = self._over or set(), None
        limits = self._limits
        for client in over:
            while client.connection and self.of_connection(client) > limits["connection"]:
                self._evict(client, "connection")
            while self.of_client(client.address) > limits["client"]:
                self._evict(self._greatest(client.address), "client")
        while self.total > limits["total"]:
            address = max(self._clients, key=self._clients.__getitem__)
            self._evict(self._greatest(address), "total")

    def of_connection(self, client: ClientId) -> int:
        """The bytes held for one connection of a client."""
        return self._connections.get(client.address, _NONE).get(client, 0)

    def of_client(self, address: str) -> int:
        """The bytes held for all connections of an address."""
        return self._clients.get(address, 0)

    def _count(self, client: ClientId, change: int, *, nothing: bool) -> None:
        self.total += change
        connections = self._connections.setdefault(client.address, {})
        if not nothing:
            connections[client] = connections.get(client, 0) + change
            self._clients[client.address] = self._clients.get(client.address, 0) + change
            return
        del self._held[client], connections[client]
        if connections:
            self._clients[client.address] += change
        else:
            del self._connections[client.address], self._clients[client.address]

    def _is_over(self, client: ClientId) -> bool:
        limits = self._limits
        return bool(
            self.total > limits["total"]
            or self._clients[client.address] > limits["client"]
            or (client.connection and self.of_connection(client) > limits["connection"])
        )

    def _greatest(self, address: str) -> ClientId:
        connections = self._connections[address]
        return max(connections, key=connections.__getitem__)

    def _evict(self, client: ClientId, scope: Scope) -> None:
        oldest = islice(self._held[client].items(), _COMPARED)
        loser, (holder, _) = max(oldest, key=lambda entry: entry[1].size)
        holder.lose(loser, ShareRefusal(self._name, scope, self._limits[scope]))
        self.hold(holder, loser, client, 0)  # whatever its holder did
