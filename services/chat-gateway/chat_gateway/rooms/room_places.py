"""Counts open rooms in the shares of their readers, and those that nobody has written to."""

from typing import Final

from notecast_runtime.errors import TooManyRoomsError
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import ShareRatios, ShareRefusal, Shares

_MOST_ASKED: Final = 8


class RoomPlaces:
    """Counts open rooms, and bounds them in total and for each client.

    A room counts once, however many streams read it: in the share of one of its readers, its payer.

    Naming a room that nobody has written to costs a client nothing. So all clients together may
    open only as many of these as one client may open of all rooms; each client has its share of
    that.

    Args:
        max_rooms: bound on all rooms.
        ratios: the shares of a client and of a connection.
    """

    def __init__(self, max_rooms: int, ratios: ShareRatios) -> None:
        self._max_rooms = max_rooms
        self._open = 0
        self._paid = Shares("rooms", max_rooms, ratios)
        self._empty = Shares("empty rooms", max(1, int(max_rooms * ratios.client)), ratios)

    def open(self, client: ClientId) -> "RoomPlace":
        """Takes a place for a room that a client is the first to join.

        Raises:
            TooManyRoomsError: there is none, in total or for this client.
        """
        if self._open >= self._max_rooms:
            raise TooManyRoomsError(self._max_rooms)
        if refusal := self._paid.take(client):
            raise _refused(refusal)
        self._open += 1
        return RoomPlace(self, client)

    def close(self, place: "RoomPlace") -> None:
        """Gives back the place of a room."""
        self._open -= 1
        self.fill(place)
        if place.payer is not None:
            self._paid.give_back(place.payer)

    def empty(self, place: "RoomPlace") -> None:
        """Learns that nobody has written to the room yet.

        Raises:
            TooManyRoomsError: too many such rooms are open.
        """
        payer = next(iter(place.holders), None)
        if payer is None:
            return
        if refusal := self._empty.take(payer):
            raise _refused(refusal)
        place.empty_for = payer

    def fill(self, place: "RoomPlace") -> None:
        """Learns that somebody has written to the room."""
        if place.empty_for is not None:
            self._empty.give_back(place.empty_for)
            place.empty_for = None

    def pass_on(self, place: "RoomPlace") -> None:
        """Moves a room whose payer has left to the share of another of its readers.

        If none of the first few has room in its share, nobody pays: the room only counts in the
        total.
        """
        if place.payer is not None:
            self._paid.give_back(place.payer)
            place.payer = None
        for client, _ in zip(place.holders, range(_MOST_ASKED), strict=False):
            if self._paid.take(client) is None:
                place.payer = client
                return


class RoomPlace:
    """The place of one open room.

    Args:
        places: all places.
        payer: the client that opens the room.

    Attributes:
        payer: the client in whose share the room counts; None: nobody's.
        empty_for: the client in whose share of empty rooms it counts; None: it is not empty.
        holders: the number of streams of each client that hold the room.
    """

    __slots__ = ("_places", "empty_for", "holders", "payer")

    def __init__(self, places: RoomPlaces, payer: ClientId) -> None:
        self._places = places
        self.payer: ClientId | None = payer
        self.empty_for: ClientId | None = None
        self.holders: dict[ClientId, int] = {}

    def hold(self, client: ClientId) -> None:
        """Counts one more stream of a client that reads the room."""
        self.holders[client] = self.holders.get(client, 0) + 1

    def release(self, client: ClientId) -> bool:
        """Counts one less; returns False if it was the last of all."""
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
