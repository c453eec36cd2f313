"""Counts the calls under way of each client; fast, because it is used in every call.

`Shares` counts any resource, and forgets a client that holds nothing. A call lasts milliseconds, so
here the account of a client is kept for its next call.
"""

from typing import Final

from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import ShareRatios, ShareRefusal

_NAME: Final = "calls under way"
_FEW_SHARE: Final = 100
"""A connection with less than this part of its share does not use up its address's share."""
_MAX_IDLE: Final = 4_096
"""Number of accounts without a call from which they are searched for and forgotten."""


class _Count:
    """The number of calls under way of one address."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = 0


class CallAccount:
    """The calls of one connection of a client.

    Attributes:
        held: the number of calls under way.
    """

    __slots__ = ("_limit", "_of_address", "_shares", "held")

    def __init__(self, shares: "CallShares", of_address: _Count, limit: int) -> None:
        self.held = 0
        self._shares = shares
        self._of_address = of_address
        self._limit = limit

    def take(self) -> ShareRefusal | None:
        """Counts a call, if the bounds allow it.

        Returns:
            None if it was counted; else the bound that refuses it, the narrowest first.
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
        """Counts a call as ended."""
        self.held -= 1
        self._of_address.held -= 1
        self._shares.held -= 1


class CallShares:
    """Bounds the calls under way in total, of each client, and of each of its connections.

    Args:
        total: the bound on all calls.
        ratios: the shares of a client and of a connection; at least 1 call each. A share that
            equals the total has no bound of its own, nor has an unknown connection.

    Attributes:
        client_limit: the share of a client.
        few: a connection with fewer calls than this counts as one with few.
        few_limit: the bound of a client for connections with few calls: its share and half of the
            rest. So a connection that uses up the share does not exclude its neighbours at once.
        held: the number of calls under way.
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
        # A limit as large as the total is never reached before it.
        self.client_limit = _own(limits["client"], total)
        self.few = limits["connection"] // _FEW_SHARE
        self.few_limit = (limits["client"] + total) // 2
        self._connection_limit = _own(limits["connection"], total)
        self._accounts: dict[ClientId, CallAccount] = {}
        self._addresses: dict[str, _Count] = {}
        self._sweep_at = _MAX_IDLE

    def account_of(self, client: ClientId) -> CallAccount:
        """Returns the account of a client's connection, for one call; it may be forgotten then."""
        return self._accounts.get(client) or self._opened(client)

    def __len__(self) -> int:
        """The number of known connections."""
        return len(self._accounts)

    def _opened(self, client: ClientId) -> CallAccount:
        if len(self._accounts) >= self._sweep_at:
            self._forget_idle()
        of_address = self._addresses.setdefault(client.address, _Count())
        limit = self._connection_limit if client.connection else _NO_BOUND
        account = self._accounts[client] = CallAccount(self, of_address, limit)
        return account

    def _forget_idle(self) -> None:
        """Forgets accounts without a call; at least as many new ones come before the next time."""
        self._accounts = {client: one for client, one in self._accounts.items() if one.held}
        self._addresses = {
            address: count for address, count in self._addresses.items() if count.held
        }
        self._sweep_at = _MAX_IDLE + 2 * len(self._accounts)


_NO_BOUND: Final = 2**63


def _own(limit: int, total: int) -> int:
    return limit if limit < total else _NO_BOUND
