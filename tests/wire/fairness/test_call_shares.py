"""Calls under way are bounded in all, for a client, and for a connection, and counted exactly."""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from notecast_wire.fairness.call_shares import CallAccount, CallShares
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import UNDIVIDED, ShareRatios

CLIENTS = st.builds(ClientId, st.sampled_from("ABC"), st.sampled_from(("1", "2", "")))
RATIOS = st.floats(0.01, 1)


class CallsUnderWay(RuleBasedStateMachine):
    """Against a plain list of whose calls are under way."""

    @initialize(total=st.integers(1, 20), client=RATIOS, connection=RATIOS)
    def begin(self, total: int, client: float, connection: float) -> None:
        self.shares = CallShares(total, ShareRatios(client, connection))
        self.total = total
        self.client_limit = max(1, int(total * client))
        self.connection_limit = max(1, int(total * connection))
        self.calls: list[tuple[ClientId, CallAccount]] = []

    @rule(client=CLIENTS)
    def call(self, client: ClientId) -> None:
        account = self.shares.account_of(client)
        refusal = account.take()
        held = Counter(whose for whose, _ in self.calls)
        of_client = sum(held[whose] for whose in held if whose.address == client.address)
        if client.connection and held[client] >= self.connection_limit < self.total:
            assert refusal == ("calls under way", "connection", self.connection_limit)
        elif of_client >= self.client_limit < self.total:
            assert refusal == ("calls under way", "client", self.client_limit)
        elif len(self.calls) >= self.total:
            assert refusal == ("calls under way", "total", self.total)
        else:
            assert refusal is None
            self.calls.append((client, account))

    @rule(which=st.integers(0, 19))
    def end(self, which: int) -> None:
        if which < len(self.calls):
            self.calls.pop(which)[1].give_back()

    @rule()
    def forget(self) -> None:
        """What a sweep does, whenever it comes."""
        self.shares._forget_idle()
        assert len(self.shares) == len({client for client, _ in self.calls})

    @invariant()
    def counts_are_exact(self) -> None:
        assert self.shares.held == len(self.calls)


TestCallsUnderWay = CallsUnderWay.TestCase


def test_neighbours_with_few_calls_go_beyond_the_share_that_one_of_them_took() -> None:
    shares = CallShares(10_000, ShareRatios())
    hostile = [shares.account_of(ClientId("192.0.2.66", str(number))) for number in range(24)]
    taken = [sum(account.take() is None for _ in range(990)) for account in hostile]
    assert taken[:5] == [990] * 5
    assert sum(taken) < 6_000
    neighbours = [shares.account_of(ClientId("192.0.2.66", f"n{number}")) for number in range(60)]
    assert all(account.take() is None for account in neighbours)
    while any(account.take() is None for account in neighbours):
        pass
    assert shares.held <= 7_500
    assert shares.account_of(ClientId("192.0.2.7", "1")).take() is None


def test_clients_without_a_call_are_forgotten_before_they_are_many() -> None:
    shares = CallShares(10_000, ShareRatios())
    lasting = shares.account_of(ClientId("192.0.2.1", "lasting"))
    assert lasting.take() is None
    for number in range(20_000):
        account = shares.account_of(ClientId(f"address {number}", "1"))
        assert account.take() is None
        account.give_back()
    assert len(shares) <= 4_098
    assert len(shares._addresses) <= 4_098
    assert shares.account_of(ClientId("192.0.2.1", "lasting")) is lasting


def test_many_clients_at_a_time_are_looked_through_seldom() -> None:
    shares = CallShares(100_000, UNDIVIDED)
    swept, accounts = 0, shares._accounts
    for number in range(50_000):
        assert shares.account_of(ClientId("192.0.2.1", str(number))).take() is None
        if shares._accounts is not accounts:
            accounts, swept = shares._accounts, swept + 1
    assert swept <= 5
