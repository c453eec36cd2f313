"""Whose share the open rooms are of, and how many of them nobody has ever written to."""

from typing import Final

from notecast_runtime.errors import TooManyRoomsError
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import ShareRatios, ShareRefusal, Shares

_MOST_ASKED: Final = 8


class RoomPlaces:
    """Counts open rooms.

    A room counts once, however many read it: in the share of one of its readers, its payer.

    To name a room that nobody has written to costs a client nothing. So of these all clients
    together may have no more than one client of all rooms, each again its share of that.

    Args:
        max_rooms: bound on all.
        ratios: how many of them are for a client and for a connection of it.
    """

    def __init__(self, max_rooms: int, ratios: ShareRatios) -> None:
        self._max_rooms = max_rooms
        self._open = 0
        self._paid = Shares("rooms", max_rooms, ratios)
        self._empty = Shares("empty rooms", max(1, int(max_rooms * ratios.client)), ratios)

    def open(self, client: ClientId) -> "RoomPlace":
        """A place for a room that a client is the first to join.

        Raises:
            TooManyRoomsError: there is none, or none for this client.
        """
        if self._open >= self._max_rooms:
            raise TooManyRoomsError(self._max_rooms)
        if refusal := self._paid.take(client):
            raise _refused(refusal)
        self._open += 1
        return RoomPlace(self, client)

    def close(self, place: "RoomPlace") -> None:
        """Takes the place of a room back."""
        self._open -= 1
        self.fill(place)
        if place.payer is not None:
            self._paid.give_back(place.payer)

    def empty(self, place: "RoomPlace") -> None:
        """Learns that nobody has written to the room yet.

        Raises:
            TooManyRoomsError: so many are open already.
        """
        payer = next(iter(place.holders), None)
        if payer is None:
            return
        if refusal := self._empty.take(payer):
            raise _refused(refusal)
        place.empty_for = payer

    def fill(self, place: "RoomPlace") -> None:
        """Learns that somebody has written to it."""
        if place.empty_for is not None:
            self._empty.give_back(place.empty_for)
            place.empty_for = None

    def pass_on(self, place: "RoomPlace") -> None:
        """Has another of its readers pay for a room whose payer has left.

        Where none of the first few has room in its share, nobody pays: it counts in the total.
        """
        if place.payer is not None:
            self._paid.give_back(place.payer)
            place.payer = None
        for client, _ in zip(place.holders, range(_MOST_ASKED), strict=False):
            if self._paid.take(client) is None:
                place.payer = client
                return


class RoomPlace:
    """One open room's.

    Args:
        places: it is one of these.
        payer: who opens the room.

    Attributes:
        payer: in whose share it counts; None where it is in nobody's.
        empty_for: in whose share of empty rooms; None where it is none.
        holders: how many streams of each client hold the room.
    """

    __slots__ = ("_places", "empty_for", "holders", "payer")

    def __init__(self, places: RoomPlaces, payer: ClientId) -> None:
        self._places = places
        self.payer: ClientId | None = payer
        self.empty_for: ClientId | None = None
        self.holders: dict[ClientId, int] = {}

    def hold(self, client: ClientId) -> None:
        """One more stream of a client reads the room."""
        self.holders[client] = self.holders.get(client, 0) + 1

    def release(self, client: ClientId) -> bool:
        """One less; False where that was the last of all."""
        left = self.holders[client] - 1
        if left:
            self.holders[client] = left
            return True
        del self.holders[client]
        if not self.holders:
            return False
        if self.payer == client:
            self._places.pass_on(self)
        return True


def _refused(refusal: ShareRefusal) -> TooManyRoomsError:
    return TooManyRoomsError(refusal.limit, refusal.scope, empty=refusal.name != "rooms")
