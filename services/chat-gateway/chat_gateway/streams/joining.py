"""The way into the rooms of a stream: joined, and asked where they stand."""

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
    """A room, and where to begin in it."""

    room: Room
    start: Start
    caught_up_at: int
    """The sequence with which the replay is over."""

    after: Cursor | None
    """Where the client stood, if it must be told that the log goes on elsewhere."""


class Joiner:
    """Joins rooms.

    Args:
        hub: where they are.
        shared_heads: says where they stand.
        heads: says where they stood in earlier epochs.
        data: settles whether Redis still holds what the rooms have shown.
        questions: turns at asking for earlier epochs, which each asks for itself.
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
        """Joins the rooms; whoever asked for it leaves them.

        A room may enter the next epoch whenever somebody waits, so who is given this takes
        its places at once.

        Args:
            wanted: validated.
            client: who joins them.
            timeout_seconds: bound on the wait.

        Raises:
            InvalidRequestError: a cursor is one that its room has not reached.
            TooManyRoomsError: a room is not open, and no further one may be.
            RedisUnavailableError: Redis did not answer in time.
        """
        rooms: dict[str, Room] = {}
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._join_all(wanted, client, rooms)
                histories = await self._read_histories(wanted, client, rooms)
            self._hub.check_open()  # else nobody would end this stream
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
        """Where the rooms stand, each in the epoch that its log is in now.

        And how earlier epochs ended, where a cursor asks for it.
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
                    if histories[
                        name
                    ].head.is_floor:  # its readers would wait for what is not there
                        room.on_head(histories[name].head)
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
        """Whether a head, read later, is of before what its room had shown.

        One in the same epoch is asked about once: that is settled then.
        """
        earlier = [name for name in rooms if heads[name][:2] < shown[name]]
        for name in earlier:
            self._data.suspect(name, shown[name][0], rooms[name].outbox_id)
        return any(not doubted or heads[name].epoch < shown[name][0] for name in earlier)


def _joined(wanted: RoomSubscription, field: str, room: Room, history: EpochHistory) -> Joined:
    start = resolve_start(wanted, field, history.head, history.ends)
    return Joined(room, start, history.head.sequence, wanted.after if start.broken else None)
