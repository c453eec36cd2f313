"""Joins the rooms of a stream, and finds where to begin in each."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from chat_gateway.log.cursors import Start, resolve_start
from chat_gateway.log.positions import EpochHistory, Head
from chat_gateway.rooms.hub import Hub
from chat_gateway.rooms.room import Doubts, Room
from chat_gateway.store.heads import Heads
from chat_gateway.store.shared_heads import SharedHeads
from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.backoff import Backoff
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.fair_turns import FairTurns
from notecast_wire.fairness.clients import ClientId


class Joined(NamedTuple):
    """A room that was joined, and where to begin in it."""

    room: Room
    start: Start
    caught_up_at: int
    """The last sequence of the replay."""

    after: Cursor | None
    """The client's position, if it must be told that the log continues elsewhere."""


class Joiner:
    """Joins rooms.

    Args:
        hub: opens and joins them.
        shared_heads: reads their heads.
        heads: reads their heads at the ends of earlier epochs.
        data: finds out whether Redis still holds what the rooms have shown.
        questions: turns at asking for earlier epochs; each stream asks for itself.
    """

    def __init__(
        self,
        hub: Hub,
        shared_heads: SharedHeads,
        heads: Heads,
        data: Doubts,
        questions: FairTurns,
    ) -> None:
        self._hub = hub
        self._shared_heads = shared_heads
        self._heads = heads
        self._data = data
        self._questions = questions

    async def join(
        self, wanted: Sequence[RoomSubscription], client: ClientId, timeout_seconds: float
    ) -> list[Joined]:
        """Joins the rooms. The caller leaves them.

        A room may enter the next epoch at every `await`, so the caller must take its positions
        before the next one.

        Args:
            wanted: the rooms, validated.
            client: the client that joins them.
            timeout_seconds: bound on the wait.

        Raises:
            InvalidRequestError: a room has not reached its cursor.
            TooManyRoomsError: a room is not open, and a bound on open rooms is reached.
            RedisUnavailableError: Redis did not answer in time.
        """
        rooms: dict[str, Room] = {}
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._join_all(wanted, client, rooms)
                histories = await self._read_histories(wanted, client, rooms)
            self._hub.check_open()  # otherwise this stream would never be ended
            return [
                _joined(each, f"subscriptions[{index}]", rooms[each.room], histories[each.room])
                for index, each in enumerate(wanted)
            ]
        except BaseException as error:
            for room in rooms.values():
                self._hub.leave(room, client)
            if isinstance(error, TimeoutError):
                raise RedisUnavailableError("Redis did not answer in time") from None
            raise

    async def _join_all(
        self, wanted: Sequence[RoomSubscription], client: ClientId, rooms: dict[str, Room]
    ) -> None:
        if len(wanted) == 1:
            name = wanted[0].room
            rooms[name] = await self._hub.join(name, client)
            return

        async def join(name: str) -> None:
            rooms[name] = await self._hub.join(name, client)

        try:
            async with asyncio.TaskGroup() as joining:
                for each in wanted:
                    joining.create_task(join(each.room))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _read_histories(
        self, wanted: Sequence[RoomSubscription], client: ClientId, rooms: Mapping[str, Room]
    ) -> dict[str, EpochHistory]:
        """Reads the heads of the rooms, each in the epoch that its log is in now.

        And how earlier epochs ended, if a cursor needs it.
        """
        backoff, doubted = Backoff(), False
        while True:
            shown = {name: (room.log.epoch, room.log.newest) for name, room in rooms.items()}
            heads = await self._shared_heads.read(rooms)
            if self._doubts(rooms, shown, heads, doubted=doubted):
                doubted = True
                await self._data.check()
                await asyncio.sleep(backoff.next_delay())
                continue
            for name, room in rooms.items():
                await room.reach(heads[name].epoch)
            histories = {name: EpochHistory(heads[name], ()) for name in rooms}
            for each in wanted:
                if each.HasField("after") and each.after.epoch < heads[each.room].epoch:
                    ask = partial(self._heads.epoch_history, each.room)
                    histories[each.room] = await self._questions.run(client, None, ask)
            if all(histories[name].head.epoch == room.log.epoch for name, room in rooms.items()):
                for name, room in rooms.items():
                    head = histories[name].head
                    if head.is_floor:  # otherwise readers would wait for notes that are gone
                        room.on_head(head)
                return histories
            await asyncio.sleep(backoff.next_delay())

    def _doubts(
        self,
        rooms: Mapping[str, Room],
        shown: Mapping[str, tuple[int, int]],
        heads: Mapping[str, Head],
        *,
        doubted: bool,
    ) -> bool:
        """Whether a head is older than what its room had shown before it was read.

        A head in the same epoch is doubted only once: one check settles it.
        """
        earlier = [name for name in rooms if heads[name][:2] < shown[name]]
        for name in earlier:
            self._data.suspect(name, shown[name][0], rooms[name].outbox_id)
        return any(not doubted or heads[name].epoch < shown[name][0] for name in earlier)


def _joined(wanted: RoomSubscription, field: str, room: Room, history: EpochHistory) -> Joined:
    start = resolve_start(wanted, field, history.head, history.ends)
    return Joined(room, start, history.head.sequence, wanted.after if start.broken else None)
