"""Bounds how much of a shared resource one client may hold."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from notecast_wire.fairness.clients import ClientId

Scope = Literal["total", "client", "connection"]

_HOLDERS: Final[dict[Scope, str]] = {
    "total": "in all",
    "client": "for a client",
    "connection": "for a connection",
}


@dataclass(frozen=True, slots=True)
class ShareRatios:
    """The parts of a total that one client and one of its connections may hold: over 0, up to 1.

    Attributes:
        client: the part of an address. Many people may share one, for instance behind a NAT.
        connection: the part of one connection. It keeps those people from affecting each other.
    """

    client: float = 0.5
    connection: float = 0.25

    def __post_init__(self) -> None:
        for ratio in (self.client, self.connection):
            if not 0 < ratio <= 1:
                raise ValueError(f"a share of {ratio} is not over 0 and up to 1")

    def of(self, total: int) -> dict[Scope, int]:
        """Calculates the bounds for a total, each at least 1."""
        client, connection = (
            max(1, int(total * ratio)) for ratio in (self.client, self.connection)
        )
        return {"connection": connection, "client": client, "total": total}


UNDIVIDED: Final = ShareRatios(1, 1)
"""One client may hold everything: for a server whose clients have one operator."""


class ShareRefusal(NamedTuple):
    """The bound that refuses a request for a share. Its text names the bound.

    Attributes:
        name: the name of the resource.
        scope: whose bound it is.
        limit: the bound.
    """

    name: str
    scope: Scope
    limit: int

    def __str__(self) -> str:
        return f"at most {self.limit} {self.name} {_HOLDERS[self.scope]}"


class Shares:
    """Counts how much of a resource is held, by client and by connection.

    A client that holds nothing is forgotten.

    Args:
        name: the name of the resource, in the plural, for errors: `streams`.
        total: the bound on all clients.
        ratios: the shares of a client and of a connection; at least 1 each.
        undivided: shares only apply above this total.

    Attributes:
        held: how much is held in total.
        name: as given.
        total: as given.
        undivided: as given.
    """

    __slots__ = (
        "_client_limit",
        "_clients",
        "_connection_limit",
        "_connections",
        "held",
        "name",
        "total",
        "undivided",
    )

    def __init__(self, name: str, total: int, ratios: ShareRatios, undivided: int = 0) -> None:
        self.name = name
        self.total = total
        self.undivided = undivided
        self.held = 0
        limits = ratios.of(total)
        self._client_limit = limits["client"]
        self._connection_limit = limits["connection"]
        self._clients: dict[str, int] = {}
        self._connections: dict[ClientId, int] = {}

    def take(self, client: ClientId, amount: int = 1) -> ShareRefusal | None:
        """Takes an amount for a client, or nothing.

        Returns:
            None if it was taken; else the bound that refuses it, the narrowest first. A share that
            equals the total has no bound of its own, nor has an unknown connection.
        """
        held = self.held + amount
        divided = held > self.undivided
        connection = self._connections.get(client, 0) + amount
        if divided and client.connection and connection > self._connection_limit < self.total:
            return ShareRefusal(self.name, "connection", self._connection_limit)
        address = self._clients.get(client.address, 0) + amount
        if divided and address > self._client_limit < self.total:
            return ShareRefusal(self.name, "client", self._client_limit)
        if held > self.total:
            return ShareRefusal(self.name, "total", self.total)
        if amount:
            self._connections[client] = connection
            self._clients[client.address] = address
            self.held = held
        return None

    def give_back(self, client: ClientId, amount: int = 1) -> None:
        """Gives back an amount that was taken for the same client and connection.

        Raises:
            ValueError: the amount is more than the client holds.
        """
        left = self._connections.get(client, 0) - amount
        if left < 0:
            raise ValueError(f"{client} does not hold {amount} {self.name}")
        self.held -= amount
        if left:
            self._connections[client] = left
        else:
            self._connections.pop(client, None)
        left = self._clients.get(client.address, 0) - amount
        if left:
            self._clients[client.address] = left
        else:
            self._clients.pop(client.address, None)

    def of_client(self, address: str) -> int:
        """The amount that all connections of an address hold."""
        return self._clients.get(address, 0)

    def of_connection(self, client: ClientId) -> int:
        """The amount that one connection of a client holds."""
        return self._connections.get(client, 0)

    @property
    def clients(self) -> int:
        """The number of addresses that hold anything."""
        return len(self._clients)
