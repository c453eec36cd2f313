"""A client that holds more than its share loses its own, and nobody else anything."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.held_bytes import HeldBytes
from notecast_wire.fairness.shares import UNDIVIDED, ShareRatios, ShareRefusal

ADA, ADAS_OTHER = ClientId("192.0.2.1", "1"), ClientId("192.0.2.1", "2")
BOB = ClientId("192.0.2.2", "1")
CYD = ClientId("192.0.2.3", "1")


class Later:
    """Calls what it is given when a test says so."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def __call__(self, callback: Callable[[], None]) -> None:
        self.due.append(callback)

    def come(self) -> None:
        due, self.due = self.due, []
        for callback in due:
            callback()


class Keeper:
    """Holds things by name, and remembers what it has lost."""

    def __init__(self, total: int, ratios: ShareRatios | None = None) -> None:
        self.later = Later()
        self.held = HeldBytes("bytes of tests", total, ratios or ShareRatios(), self.later)
        self.lost: list[object] = []
        self.refusals: list[ShareRefusal] = []

    def lose(self, held: object, refusal: ShareRefusal) -> None:
        self.lost.append(held)
        self.refusals.append(refusal)

    def hold(self, held: str, client: ClientId, size: int) -> None:
        self.held.hold(self, held, client, size)

    def settle(self) -> list[object]:
        self.later.come()
        return self.lost


def test_connections_that_are_not_known_have_the_share_of_their_address_together() -> None:
    keeper = Keeper(100)
    for held in "ab":
        keeper.hold(held, ClientId("192.0.2.1", ""), 25)
    assert not keeper.later.due
    keeper.hold("c", ClientId("192.0.2.1", ""), 1)
    assert keeper.settle() == ["a"]
    assert keeper.refusals == [ShareRefusal("bytes of tests", "client", 50)]


def test_what_is_within_the_shares_is_held_and_nobody_wakes_up() -> None:
    keeper = Keeper(100)
    keeper.hold("a", ADA, 25)
    keeper.hold("b", ADAS_OTHER, 25)
    keeper.hold("c", BOB, 25)
    keeper.hold("d", CYD, 25)
    assert not keeper.later.due
    assert keeper.held.total == 100
    assert keeper.held.of_connection(ADA) == 25
    assert keeper.held.of_client(ADA.address) == 50


def test_a_connection_over_its_share_loses_its_largest_and_of_equal_ones_the_oldest() -> None:
    keeper = Keeper(100)
    for name, size in (("small", 5), ("first", 10), ("second", 10)):
        keeper.hold(name, ADA, size)
    keeper.hold("third", ADA, 10)
    assert keeper.settle() == ["first"]
    assert str(keeper.refusals[0]) == "at most 25 bytes of tests for a connection"
    assert keeper.held.of_connection(ADA) == 25


def test_a_client_over_its_share_loses_of_the_connection_that_holds_most() -> None:
    keeper = Keeper(100, ShareRatios(0.5, 0.4))
    keeper.hold("a", ADA, 15)
    keeper.hold("b", ADAS_OTHER, 20)
    keeper.hold("c", ADAS_OTHER, 19)
    keeper.hold("other", BOB, 40)
    assert keeper.settle() == ["b"]
    assert keeper.refusals[0].scope == "client"
    assert keeper.held.total == 74


def test_where_the_total_is_reached_who_holds_most_loses_and_not_who_comes() -> None:
    keeper = Keeper(100, ShareRatios(0.9, 0.9))
    keeper.hold("much", ADA, 80)
    keeper.hold("some", BOB, 15)
    keeper.hold("little", CYD, 10)
    assert keeper.settle() == ["much"]
    assert keeper.refusals[0] == ShareRefusal("bytes of tests", "total", 100)
    assert keeper.held.total == 25


def test_what_shrinks_in_time_is_not_lost() -> None:
    keeper = Keeper(100)
    keeper.hold("a", ADA, 30)
    keeper.hold("a", ADA, 20)
    assert keeper.settle() == []
    keeper.hold("a", ADA, 0)
    keeper.hold("a", ADA, 0)
    assert keeper.held.total == keeper.held.of_client(ADA.address) == 0


def test_one_thing_that_is_larger_than_all_is_lost_by_itself() -> None:
    keeper = Keeper(100, UNDIVIDED)
    keeper.hold("other", BOB, 90)
    keeper.hold("huge", ADA, 1_000)
    assert keeper.settle() == ["huge"]


names = st.sampled_from("abcdef")
clients = st.sampled_from([ADA, ADAS_OTHER, BOB, CYD])


@given(st.lists(st.tuples(names, clients, st.integers(0, 40)), max_size=60))
def test_after_each_settling_all_is_within_its_bound_and_counts_are_right(
    steps: list[tuple[str, ClientId, int]],
) -> None:
    keeper = Keeper(100, ShareRatios(0.5, 0.25))
    model: dict[tuple[str, ClientId], int] = {}
    for name, client, size in steps:
        keeper.held.hold(keeper, (name, client), client, size)
        model[name, client] = size
        for lost in keeper.settle():
            model.pop(lost, None)  # type: ignore[call-overload]
        keeper.lost.clear()
        held = keeper.held
        assert held.total == sum(model.values()) <= 100
        for known in (ADA, ADAS_OTHER, BOB, CYD):
            own = sum(size for (_, of), size in model.items() if of == known)
            assert held.of_connection(known) == own <= 25
            assert held.of_client(known.address) <= 50
    for name, client in list(model):
        keeper.held.hold(keeper, (name, client), client, 0)
    assert not keeper.held._held
    assert not keeper.held._connections
    assert not keeper.held._clients
