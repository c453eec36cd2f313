"""Compares the heads that Redis has of many rooms with the rooms' logs. No I/O."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from operator import attrgetter, ne

from chat_gateway.log.outbox_mark import UNMARKED, OutboxMark
from chat_gateway.log.positions import Head, PartitionHeads
from chat_gateway.rooms.room import SURE_SECONDS, Room
from chat_gateway.store.heads import PartitionHeadsQuery, by_partition

_ROOMS_PER_PART = 1_000
"""So many are queried and compared in one go: some milliseconds. Then other tasks run."""


class PartitionRooms:
    """Open rooms of one partition, for which Redis is queried in one call.

    Args:
        partition: their partition.
        rooms: open rooms, at most `heads.ROOMS_PER_CALL`.

    Attributes:
        query: reads their heads from Redis.
    """

    __slots__ = ("_agreed", "_mark", "_rooms", "query")

    def __init__(self, partition: int, rooms: Sequence[Room]) -> None:
        self.query = PartitionHeadsQuery(partition, [room.name for room in rooms])
        self._rooms = rooms
        self._agreed: PartitionHeads | None = None
        self._mark = UNMARKED

    def shown(self) -> Sequence[int]:
        """The newest sequence of each room's log now."""
        return [room.log.newest for room in self._rooms]

    def beyond(self, answer: PartitionHeads, shown: Sequence[int]) -> list[Room]:
        """The rooms that had shown more than Redis has, in the same epoch.

        Args:
            answer: the answer to `query`.
            shown: the result of `shown` before the query was sent; empty: looks at no room.
        """
        return [
            room
            for room, newest, sequence in zip(self._rooms, answer.newest, shown, strict=False)
            if int(newest or answer.floor) < sequence and room.log.epoch == answer.epoch
        ]

    def below_floor(self, answer: PartitionHeads) -> list[tuple[Room, Head]]:
        """The rooms of which Redis has nothing and that are below the floor, each with its head.

        They miss nothing. But if they rarely follow the floor, the next note is far ahead of them.

        Args:
            answer: the answer to `query`.
        """
        return [
            (room, answer.head(index))
            for index, room in enumerate(self._rooms)
            if answer.newest[index] is None
            and room.log.newest < answer.floor
            and room.log.epoch == answer.epoch
        ]

    def behind(self, answer: PartitionHeads, asked_at: float) -> list[tuple[Room, Head]]:
        """The rooms that lack something that Redis holds, each with its head.

        If all rooms were up to date the last time, only looks at those whose head has changed.
        Between two looks most rooms are quiet, and touching each of them costs more than delivering
        to the others. After a time without an answer it looks at all: a room that has left Redis
        may have had notes in the meantime.

        Args:
            answer: the answer to `query`.
            asked_at: the monotonic time at which the query was sent.
        """
        is_next = asked_at - self._mark.agreed_at <= SURE_SECONDS
        if is_next and self._agreed is not None and self._agreed.epoch == answer.epoch:
            changed = map(ne, self._agreed.newest, answer.newest)
            if self._all_up_to_date(answer, compress(range(len(self._rooms)), changed)):
                self._agreed = answer
                self._mark.outbox_id = answer.outbox_id
                self._mark.agreed_at = asked_at
                return []
        # Looks at all; moves the position of each room by itself if they can't move together.
        heads = [(room, answer.head(index)) for index, room in enumerate(self._rooms)]
        behind = [(room, head) for room, head in heads if not room.agrees(head, asked_at)]
        if behind:
            self._agreed = None
        else:
            self._agreed = answer
            self._mark = OutboxMark(
                answer.outbox_id, asked_at
            )  # the mark of another epoch would be wrong
            for room in self._rooms:
                room.follow(self._mark)
        return behind

    def _all_up_to_date(self, answer: PartitionHeads, indices: Iterable[int]) -> bool:
        """Whether the rooms at these indices are up to date; changes nothing."""
        rooms, newest, epoch = self._rooms, answer.newest, answer.epoch
        return all(rooms[index].has_all(epoch, int(newest[index] or 0)) for index in indices)


def in_parts(rooms: Iterable[Room]) -> Iterator[list[PartitionRooms]]:
    """Groups rooms by partition, in parts that are small enough for one go."""
    part: list[PartitionRooms] = []
    size = 0
    for partition, theirs in by_partition(rooms, attrgetter("name")):
        part.append(PartitionRooms(partition, theirs))
        size += len(theirs)
        if size >= _ROOMS_PER_PART:
            yield part
            part, size = [], 0
    if part:
        yield part
