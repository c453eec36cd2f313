"""Whose share an open room is of: one place for each room, and none for good that nobody uses."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chat_gateway.rooms.room_places import RoomPlace, RoomPlaces
from notecast_runtime.errors import TooManyRoomsError
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import UNDIVIDED, ShareRatios

ANN, BOB = ClientId("192.0.2.1", "1"), ClientId("192.0.2.2", "1")
RATIOS = ShareRatios(0.5, 0.25)


def opened(places: RoomPlaces, client: ClientId) -> RoomPlace:
    place = places.open(client)
    place.hold(client)
    return place


def refusal(places: RoomPlaces, client: ClientId) -> tuple[int, str]:
    with pytest.raises(TooManyRoomsError) as refused:
        places.open(client)
    return refused.value.limit, refused.value.scope


def test_a_connection_and_a_client_have_their_share_and_others_the_rest() -> None:
    places = RoomPlaces(8, RATIOS)
    for _ in range(2):
        opened(places, ANN)
    assert refusal(places, ANN) == (2, "connection")
    for _ in range(2):
        opened(places, ClientId("192.0.2.1", "2"))
    assert refusal(places, ClientId("192.0.2.1", "3")) == (4, "client")
    opened(places, BOB)


def test_rooms_that_nobody_has_written_to_have_no_more_than_a_part_of_all() -> None:
    places = RoomPlaces(8, RATIOS)
    rooms = [opened(places, ClientId(f"192.0.2.{n}", "1")) for n in range(4)]
    for room in rooms:
        places.empty(room)
    another = opened(places, ClientId("192.0.2.9", "1"))
    with pytest.raises(TooManyRoomsError, match="4 rooms without a note are open here") as refused:
        places.empty(another)
    assert (refused.value.scope, refused.value.empty) == ("total", True)
    places.fill(rooms[0])
    places.fill(rooms[0])
    places.empty(another)


def test_without_shares_all_rooms_may_be_empty() -> None:
    places = RoomPlaces(3, UNDIVIDED)
    for _ in range(3):
        places.empty(opened(places, ANN))
    assert refusal(places, BOB) == (3, "total")


def test_a_room_whose_payer_has_left_is_paid_for_by_another_reader() -> None:
    places = RoomPlaces(4, RATIOS)
    room = opened(places, ANN)
    room.hold(BOB)
    assert room.release(ANN)
    assert room.payer == BOB
    opened(places, ANN)  # her share is free again
    assert refusal(places, BOB) == (1, "connection")


def test_a_room_whose_other_reader_has_no_share_left_counts_in_the_total_alone() -> None:
    places = RoomPlaces(4, RATIOS)
    opened(places, BOB)
    room = opened(places, ANN)
    room.hold(BOB)
    assert room.release(ANN)
    assert room.payer is None
    opened(places, ANN)
    assert not room.release(BOB)
    places.close(room)


CLIENTS = [ClientId(f"192.0.2.{n}", str(c)) for n in range(3) for c in range(2)]


class Rooms(RuleBasedStateMachine):
    """Readers come and go in any order; the counts agree with what is open."""

    def __init__(self) -> None:
        super().__init__()
        self.places = RoomPlaces(6, RATIOS)
        self.open: list[RoomPlace] = []

    @rule(client=st.sampled_from(CLIENTS), is_empty=st.booleans())
    def open_room(self, client: ClientId, is_empty: bool) -> None:  # noqa: FBT001 - drawn
        try:
            place = opened(self.places, client)
        except TooManyRoomsError:
            return
        self.open.append(place)
        if is_empty:
            try:
                self.places.empty(place)
            except TooManyRoomsError:
                self.open.remove(place)
                self.places.close(place)

    @precondition(lambda self: self.open)
    @rule(client=st.sampled_from(CLIENTS), data=st.data())
    def join(self, client: ClientId, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.open)).hold(client)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(self.open))
        if not place.release(data.draw(st.sampled_from(sorted(place.holders)))):
            self.open.remove(place)
            self.places.close(place)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def write(self, data: st.DataObject) -> None:
        self.places.fill(data.draw(st.sampled_from(self.open)))

    @invariant()
    def counts_agree(self) -> None:
        payers = [place.payer for place in self.open if place.payer is not None]
        assert self.places._open == len(self.open) <= 6
        assert self.places._paid.held == len(payers)
        assert all(place.payer in place.holders for place in self.open if place.payer)
        for client in CLIENTS:
            assert self.places._paid.of_connection(client) == payers.count(client) <= 1
        empty = [place for place in self.open if place.empty_for is not None]
        assert self.places._empty.held == len(empty) <= 3


TestRooms = Rooms.TestCase
TestRooms.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
