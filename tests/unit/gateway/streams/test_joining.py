"""Joining a room of which Redis tells something older than the room has shown."""

from collections.abc import Collection

import pytest

from chat_gateway.log.positions import Head
from chat_gateway.rooms.hub import Hub
from chat_gateway.rooms.room import Room
from chat_gateway.store.shared_heads import SharedHeads
from chat_gateway.streams.joining import Joiner
from notecast.v1.chat_pb2 import RoomSubscription
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.fair_turns import FairTurns
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import UNDIVIDED
from tests.support.room_parts import EPOCH, NoDoubts, ScriptedHeads, open_room

WANTED = [RoomSubscription(room="lobby")]


class OldHeads(SharedHeads):
    """Says again and again that the room is in an earlier epoch, and counts how often."""

    def __init__(self) -> None:
        self.asked = 0

    async def read(self, rooms: Collection[str]) -> dict[str, Head]:
        """As SharedHeads.read."""
        self.asked += 1
        return {room: Head(EPOCH - 1, 3) for room in rooms}


class OneRoom(Hub):
    """Holds a room that is open."""

    def __init__(self) -> None:
        self.room = open_room(Head(EPOCH, 3))

    async def join(self, name: str, client: ClientId) -> Room:  # noqa: ARG002
        """As Hub.join."""
        return self.room

    def leave(self, room: Room, client: ClientId) -> None:
        """As Hub.leave."""

    def check_open(self) -> None:
        """As Hub.check_open."""


async def test_redis_is_asked_seldom_while_it_tells_of_an_earlier_epoch() -> None:
    heads = OldHeads()
    joiner = Joiner(
        OneRoom(), heads, ScriptedHeads(), NoDoubts(), FairTurns("questions", 1, UNDIVIDED)
    )
    with pytest.raises(RedisUnavailableError, match="in time"):
        await joiner.join(WANTED, ClientId("192.0.2.1", "1"), timeout_seconds=0.5)
    assert 1 < heads.asked < 10


class ForgottenHeads(SharedHeads):
    """Says that Redis has nothing of the room any more."""

    def __init__(self) -> None:
        pass

    async def read(self, rooms: Collection[str]) -> dict[str, Head]:
        """As SharedHeads.read."""
        return {room: Head(EPOCH, 9, is_floor=True) for room in rooms}


async def test_a_room_follows_the_floor_at_once_where_its_replay_would_not_end_before() -> None:
    hub = OneRoom()
    joiner = Joiner(
        hub, ForgottenHeads(), ScriptedHeads(), NoDoubts(), FairTurns("questions", 1, UNDIVIDED)
    )
    (joined,) = await joiner.join(WANTED, ClientId("192.0.2.1", "1"), timeout_seconds=5)
    assert joined.caught_up_at == hub.room.log.newest == 9
