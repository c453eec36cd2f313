"""How much of what all clients share one of them may hold."""

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
    """The parts of a total that one client and one connection of it may hold, over 0, up to 1.

    Attributes:
        client: of an address. Many people may share one, behind a NAT for instance.
        connection: of one connection. It is what keeps those people from hurting each other.
    """

    client: float = 0.5
    connection: float = 0.25

    def __post_init__(self) -> None:
        for ratio in (self.client, self.connection):
            if not 0 < ratio <= 1:
                raise ValueError(f"a share of {ratio} is not over 0 and up to 1")

    def of(self, total: int) -> dict[Scope, int]:
        """The bounds that follow from a total, each at least 1."""
        client, connection = (
            max(1, int(total * ratio)) for ratio in (self.client, self.connection)
        )
        return {"connection": connection, "client": client, "total": total}


UNDIVIDED: Final = ShareRatios(1, 1)
"""Anybody may hold all: for a server whose clients are of one house."""


class ShareRefusal(NamedTuple):
    """What was asked for is not there. As a text it says which bound is reached.

    Attributes:
        name: of what is shared.
        scope: whose bound it is.
        limit: that bound.
    """

    name: str
    scope: Scope
    limit: int

    def __str__(self) -> str:
        return f"at most {self.limit} {self.name} {_HOLDERS[self.scope]}"


class Shares:
    """Counts what is held of one thing, by client and by connection.

    Nothing is kept of a client that holds nothing.

    Args:
        name: of what is shared, in the plural, for errors: `streams`.
        total: how much there is.
        ratios: how much of it is a client's and a connection's share; at least 1 each.
        undivided: while no more than this is held in all, nobody's share counts.

    Attributes:
        held: how much is held in all.
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
        """Takes so much for a client, or nothing.

        Returns:
            None where it was taken; else the bound that refuses it, the narrowest first. A share
            that is all there is has no bound of its own, nor has a connection that is not known.
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
        """Gives back so much of what was taken for the same client and connection.

        Raises:
            ValueError: that is more than it holds.
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
        """How much all connections of an address hold."""
        return self._clients.get(address, 0)

    def of_connection(self, client: ClientId) -> int:
        """How much one connection of a client holds."""
        return self._connections.get(client, 0)

    @property
    def clients(self) -> int:
        """How many addresses hold anything."""
        return len(self._clients)
