"""What is shared is bounded in all, for a client, and for a connection, and counted exactly."""

from collections import Counter
from itertools import product, starmap

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import UNDIVIDED, ShareRatios, ShareRefusal, Shares

CONNECTIONS = ("1", "2", "")
CLIENTS = st.builds(ClientId, st.sampled_from("ABC"), st.sampled_from(CONNECTIONS))
RATIOS = st.floats(0.01, 1)


class HeldShares(RuleBasedStateMachine):
    """Against a plain list of what each client holds."""

    @initialize(
        total=st.integers(1, 60), client=RATIOS, connection=RATIOS, undivided=st.integers(0, 60)
    )
    def begin(self, total: int, client: float, connection: float, undivided: int) -> None:
        self.shares = Shares("rooms", total, ShareRatios(client, connection), undivided)
        self.total = total
        self.undivided = undivided
        self.client_limit = max(1, int(total * client))
        self.connection_limit = max(1, int(total * connection))
        self.held: Counter[ClientId] = Counter()

    def of_address(self, address: str) -> int:
        return sum(held for client, held in self.held.items() if client.address == address)

    @rule(client=CLIENTS, amount=st.integers(0, 20))
    def take(self, client: ClientId, amount: int) -> None:
        refusal = self.shares.take(client, amount)
        held = self.held.total() + amount
        of_connection = self.held[client] + amount if client.connection else 0
        of_client = self.of_address(client.address) + amount
        if self.undivided < held and self.total > self.connection_limit < of_connection:
            assert refusal == ("rooms", "connection", self.connection_limit)
        elif self.undivided < held and self.total > self.client_limit < of_client:
            assert refusal == ("rooms", "client", self.client_limit)
        elif held > self.total:
            assert refusal == ("rooms", "total", self.total)
        else:
            assert refusal is None
            self.held[client] += amount

    @rule(client=CLIENTS, part=st.floats(0, 1))
    def give_back(self, client: ClientId, part: float) -> None:
        amount = int(self.held[client] * part)
        self.shares.give_back(client, amount)
        self.held[client] -= amount

    @rule(client=CLIENTS)
    def give_back_too_much(self, client: ClientId) -> None:
        with pytest.raises(ValueError, match="does not hold"):
            self.shares.give_back(client, self.held[client] + 1)

    @invariant()
    def counts_are_exact(self) -> None:
        assert self.shares.held == self.held.total()
        for client in starmap(ClientId, product("ABC", CONNECTIONS)):
            assert self.shares.of_connection(client) == self.held[client]
            assert self.shares.of_client(client.address) == self.of_address(client.address)

    @invariant()
    def nothing_is_kept_of_whoever_holds_nothing(self) -> None:
        assert self.shares.clients == len({client.address for client in +self.held})
        assert len(self.shares._connections) == len(+self.held)


TestHeldShares = HeldShares.TestCase


def test_one_client_leaves_half_to_others_and_one_connection_three_quarters() -> None:
    shares = Shares("streams", 100, ShareRatios())
    for connection in "1", "2":
        client = ClientId("192.0.2.1", connection)
        assert shares.take(client, 25) is None
        assert shares.take(client) == ShareRefusal("streams", "connection", 25)
    assert shares.take(ClientId("192.0.2.1", "3")) == ShareRefusal("streams", "client", 50)
    assert shares.take(ClientId("192.0.2.2", "1"), 25) is None


def test_connections_that_are_not_known_have_the_share_of_their_address_together() -> None:
    shares = Shares("streams", 100, ShareRatios())
    client = ClientId("192.0.2.1", "")
    assert shares.take(client, 50) is None
    assert shares.take(client) == ShareRefusal("streams", "client", 50)


def test_shares_count_from_where_what_is_held_is_divided() -> None:
    shares = Shares("streams", 100, ShareRatios(), undivided=60)
    greedy, modest = ClientId("192.0.2.1", "1"), ClientId("192.0.2.2", "1")
    assert shares.take(greedy, 60) is None
    assert shares.take(greedy) == ShareRefusal("streams", "connection", 25)
    assert shares.take(modest, 25) is None
    assert shares.take(modest) == ShareRefusal("streams", "connection", 25)
    shares.give_back(greedy, 60)
    assert shares.take(greedy, 35) is None
    assert shares.take(greedy) == ShareRefusal("streams", "connection", 25)


def test_a_share_of_one_is_no_bound_of_its_own() -> None:
    shares = Shares("streams", 10, UNDIVIDED)
    client = ClientId("192.0.2.1", "1")
    assert shares.take(client, 10) is None
    assert shares.take(ClientId("192.0.2.2", "1")) == ShareRefusal("streams", "total", 10)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_a_share_is_never_nothing(total: int) -> None:
    assert Shares("streams", total, ShareRatios(0.01, 0.01)).take(ClientId("A", "1")) is None


def test_a_refusal_says_which_bound_it_was() -> None:
    assert str(ShareRefusal("rooms", "client", 50)) == "at most 50 rooms for a client"
    assert str(ShareRefusal("rooms", "connection", 25)) == "at most 25 rooms for a connection"
    assert str(ShareRefusal("rooms", "total", 100)) == "at most 100 rooms in all"


@given(ratio=st.sampled_from([0.0, -0.5, 1.01, float("nan"), float("inf")]))
def test_a_share_that_is_none_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="is not over 0 and up to 1"):
        ShareRatios(client=ratio)
    with pytest.raises(ValueError, match="is not over 0 and up to 1"):
        ShareRatios(connection=ratio)
