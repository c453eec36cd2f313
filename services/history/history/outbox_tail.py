"""Reads a room's notes that are accepted but not persisted yet."""

from typing import Any, NamedTuple

from history.logged_notes import from_outbox_entry
from history.outbox_reader import OUTBOX_BEGIN, decode_batch
from history.room_log import answering_redis
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.keyspace import outbox_key, partition_of, persisted_key
from notecast_runtime.redis.client import Redis

PAGE_ENTRIES = 256


class TailPage(NamedTuple):
    """The notes of one room in a page of its partition's tail."""

    notes: list[LoggedNote]
    """In order of sequence."""

    position: bytes
    """The next page begins after this outbox id."""

    ended: bool
    """Whether the tail ended with this page."""


class OutboxTail:
    """Reads the tails of partitions: the entries after the persisted position.

    Args:
        redis: where the outbox is.
        page_entries: the number of entries of a page, of all rooms.
    """

    def __init__(self, redis: Redis, page_entries: int = PAGE_ENTRIES) -> None:
        self._redis = redis
        self._page_entries = page_entries

    async def read(self, room: str, position: bytes | None) -> TailPage:
        """Reads a page; leaves out corrupt entries (persisting reports them).

        Args:
            room: the room whose notes to return.
            position: `TailPage.position` of the page before; None: begins after the persisted
                position.

        Raises:
            RedisUnavailableError: Redis does not answer.
        """
        partition = partition_of(room)
        with answering_redis():
            begin = await self._persisted(partition) if position is None else position
            raw: Any = await self._redis.xrange(
                outbox_key(partition), f"({begin.decode()}", "+", count=self._page_entries
            )
        if not raw:
            return TailPage([], begin, ended=True)
        batch = decode_batch(partition, b"", raw)
        notes = [from_outbox_entry(entry) for entry in batch.entries if entry.room == room]
        return TailPage(notes, batch.last_id, ended=len(raw) < self._page_entries)

    async def _persisted(self, partition: int) -> bytes:
        position: Any = await self._redis.get(persisted_key(partition))
        return position or OUTBOX_BEGIN
