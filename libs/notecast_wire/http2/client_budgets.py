"""Budgets of clients over all of their connections, for what their requests do wrong or cost.

A proxy's connection carries many clients, so what one of them does wrong may not end it. It is
charged to that client instead, over all connections of all proxies, and a client whose budget is
empty has its further requests refused until time has filled it again. A client without a proxy is
charged here for what takes much of our time, whatever connection it comes on.
"""

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import ShareRatios
from notecast_wire.http2.limits import ConnectionLimits

_MAX_ACCOUNTS: Final = 4_096
"""Clients that have done something wrong, of each kind; the one that did so longest ago goes."""

_Key = TypeVar("_Key", bound=Hashable)


class _Account:
    """What one client may still do wrong."""

    __slots__ = ("left", "since")

    def __init__(self, left: float, since: float) -> None:
        self.left = left
        self.since = since


class _Accounts(Generic[_Key]):
    """The accounts of those that have been charged, the last one charged at the end.

    Args:
        burst: what an account holds at first, and at most; it is never further below 0.
        per_second: what time earns.

    Attributes:
        over: whose accounts were below 0 when last looked at.
    """

    __slots__ = ("_accounts", "burst", "over", "per_second")

    def __init__(self, burst: float, per_second: float) -> None:
        self.burst = burst
        self.per_second = per_second
        self.over: set[_Key] = set()
        self._accounts: dict[_Key, _Account] = {}

    def __len__(self) -> int:
        return len(self._accounts)

    def charge(self, key: _Key, cost: float, now: float) -> bool:
        """Takes the cost from an account; returns whether anything was left before."""
        account = self._accounts.pop(key, None) or _Account(self.burst, now)
        self._accounts[key] = account
        covered = self._left(account, now) >= 0
        account.left = max(account.left - cost, -self.burst)
        if account.left < 0:
            self.over.add(key)
        if len(self._accounts) > _MAX_ACCOUNTS:
            oldest = next(iter(self._accounts))
            del self._accounts[oldest]
            self.over.discard(oldest)
        return covered

    def is_over(self, key: _Key, now: float) -> bool:
        """Whether an account is below 0."""
        if key not in self.over:
            return False
        if self._left(self._accounts[key], now) < 0:
            return True
        self.over.discard(key)
        return False

    def spent(self, key: _Key, now: float) -> float:
        """Returns how much of an account is gone."""
        account = self._accounts.get(key)
        return self.burst - self._left(account, now) if account is not None else 0.0

    def _left(self, account: _Account, now: float) -> float:
        earned = (now - account.since) * self.per_second
        account.left = min(self.burst, account.left + earned)
        account.since = now
        return account.left


class ClientBudgets:
    """Budgets of a server's clients, counted in calls that a client gives up unanswered.

    A connection of a client has what a connection without a proxy has (`ConnectionLimits`), and the
    client as much more as `ratios` say that it may hold of anything: one connection can empty its
    own budget, and not that of others at the same address.

    Args:
        limits: the budget of a connection.
        ratios: of a client's share to its connection's.
        clock: monotonic seconds.

    Attributes:
        noop_frame_cost: what a frame costs that moves nothing.
        ratios: as given.
    """

    __slots__ = ("_addresses", "_clock", "_connections", "noop_frame_cost", "ratios")

    def __init__(
        self, limits: ConnectionLimits, ratios: ShareRatios, clock: Callable[[], float]
    ) -> None:
        self.ratios = ratios
        self.noop_frame_cost = limits.reset_burst / limits.noop_frame_burst
        self._clock = clock
        widened = max(1.0, ratios.client / ratios.connection)
        self._connections = _Accounts[ClientId](limits.reset_burst, limits.resets_per_second)
        self._addresses = _Accounts[str](
            limits.reset_burst * widened, limits.resets_per_second * widened
        )

    def charge(self, client: ClientId, cost: float) -> bool:
        """Charges a client; returns whether its connection had anything left for it.

        A connection that has nothing left is charged alone: the rest of its flood is refused
        anyway, and costs the others at its address nothing.
        """
        now = self._clock()
        if not client.connection:
            return self._addresses.charge(client.address, cost, now)
        covered = self._connections.charge(client, cost, now)
        if covered:
            self._addresses.charge(client.address, cost, now)
        return covered

    @property
    def any_over(self) -> bool:
        """Whether any client is to be refused at all."""
        return bool(self._connections.over or self._addresses.over)

    def refusal(self, client: ClientId) -> str:
        """Says why a client's requests are refused for now; empty where they are not."""
        now = self._clock()
        if self._connections.is_over(client, now):
            return _words("connection", self._connections)
        if self._addresses.is_over(client.address, now):
            return _words("address", self._addresses)
        return ""

    def spent(self, client: ClientId) -> float:
        """Returns what a client's connection has spent and time has not refilled of its budget."""
        return self._connections.spent(client, self._clock())

    @property
    def accounts(self) -> int:
        """Number of clients that are remembered."""
        return max(len(self._connections), len(self._addresses))


def _words(whose: str, accounts: _Accounts[ClientId] | _Accounts[str]) -> str:
    return (
        f"too many resets, faulty requests and large header blocks from this {whose}: at most"
        f" {accounts.burst:g} at once and {accounts.per_second:g} a second"
    )
