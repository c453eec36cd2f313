"""How many calls of each client are under way, counted once for each call and so in a hurry.

`Shares` counts anything and keeps nothing of whoever holds nothing. A call begins and ends within
milliseconds, so here what is known of a client stays for its next call.
"""

from typing import Final

from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import ShareRatios, ShareRefusal

_NAME: Final = "calls under way"
_FEW_SHARE: Final = 100
"""A connection with less than such a part of its share is none that takes its address's."""
_MAX_IDLE: Final = 4_096
"""So many accounts may be there without a call before those are looked for and forgotten."""


class _Count:
    """How many calls one address has under way."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0


class CallAccount:
    """The calls of one connection of a client.

    Attributes:
        held: how many are under way.
    """

    __slots__ = ("_limit", "_of_address", "_shares", "held")

    def __init__(self, shares: "CallShares", of_address: _Count, limit: int) -> None:
        self.held = 0
        self._shares = shares
        self._of_address = of_address
        self._limit = limit

    def take(self) -> ShareRefusal | None:
        """Takes a place for a call.

        Returns:
            None where there was one; else the bound that refuses it, the narrowest first.
        """
        shares, of_address = self._shares, self._of_address
        if self.held >= self._limit:
            return ShareRefusal(_NAME, "connection", self._limit)
        if of_address.held >= shares.client_limit and (
            self.held >= shares.few or of_address.held >= shares.few_limit
        ):
            return ShareRefusal(_NAME, "client", shares.client_limit)
        if shares.held >= shares.total:
            return ShareRefusal(_NAME, "total", shares.total)
        self.held += 1
        of_address.held += 1
        shares.held += 1
        return None

    def give_back(self) -> None:
        """Gives one of its places back."""
        self.held -= 1
        self._of_address.held -= 1
        self._shares.held -= 1


class CallShares:
    """Bounds the calls under way in all, of each client, and of each connection of one.

    Args:
        total: how many there may be.
        ratios: how much of it is a client's and a connection's share; at least 1 each. A share
            that is all there is has no bound of its own, nor has a connection that is not known.

    Attributes:
        client_limit: the share of a client.
        few: so many calls of a connection are not few.
        few_limit: what a client may have in all where connections of it that have few calls come
            last: half of the rest as well. One that takes the share keeps no neighbour out at once.
        held: how many are under way.
        total: as given.
    """

    __slots__ = (
        "_accounts",
        "_addresses",
        "_connection_limit",
        "_sweep_at",
        "client_limit",
        "few",
        "few_limit",
        "held",
        "total",
    )

    def __init__(self, total: int, ratios: ShareRatios) -> None:
        limits = ratios.of(total)
        self.held = 0
        self.total = total
        # One that is as large as the total is never reached before it.
        self.client_limit = _own(limits["client"], total)
        self.few = limits["connection"] // _FEW_SHARE
        self.few_limit = (limits["client"] + total) // 2
        self._connection_limit = _own(limits["connection"], total)
        self._accounts: dict[ClientId, CallAccount] = {}
        self._addresses: dict[str, _Count] = {}
        self._sweep_at = _MAX_IDLE

    def account_of(self, client: ClientId) -> CallAccount:
        """The account of one connection of a client, for one call: it may be forgotten after."""
        return self._accounts.get(client) or self._opened(client)

    def __len__(self) -> int:
        """How many connections of clients are known."""
        return len(self._accounts)

    def _opened(self, client: ClientId) -> CallAccount:
        if len(self._accounts) >= self._sweep_at:
            self._forget_idle()
        of_address = self._addresses.setdefault(client.address, _Count())
        limit = self._connection_limit if client.connection else _NO_BOUND
        account = self._accounts[client] = CallAccount(self, of_address, limit)
        return account

    def _forget_idle(self) -> None:
        """Keeps those that have a call; the work is shared by as many openings at least."""
        self._accounts = {client: one for client, one in self._accounts.items() if one.held}
        self._addresses = {
            address: count for address, count in self._addresses.items() if count.held
        }
        self._sweep_at = _MAX_IDLE + 2 * len(self._accounts)


_NO_BOUND: Final = 2**63


def _own(limit: int, total: int) -> int:
    return limit if limit < total else _NO_BOUND
