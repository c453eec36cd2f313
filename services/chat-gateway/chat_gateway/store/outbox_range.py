"""Reads accepted notes that were missed live from the outbox, before history has them."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from chat_gateway.log.room_log import SequenceRange
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.keyspace import outbox_key, partition_of
from notecast_runtime.outbox import CorruptOutboxEntryError, OutboxEntry, OutboxId, decode_entry
from notecast_runtime.redis.client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.redis.refusals import words_for

_PAGE_ENTRIES = 256
_ANSWER_SECONDS = 0.5
"""Readers wait for the answer. A connection may be dead, and another one is made quickly."""
_MAX_PAGES = 40
"""A gap that spans more pages of its partition's outbox is read from history."""


class Found(NamedTuple):
    """A range of a room's log."""

    entries: Sequence[OutboxEntry]
    """In order."""

    epoch: int
    """The latest epoch of those entries, and of the one after the range that ended the search."""

    floor: int
    """Up to this sequence nothing is left of the room; 0: not known."""


class OutboxRange:
    """Reads ranges from the outbox, for repair.

    Args:
        redis: where the outbox is.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, room: str, sequences: SequenceRange, after: OutboxId) -> "Found | None":
        """Reads a range, complete and in order.

        Args:
            room: the room.
            sequences: the range.
            after: an outbox id before all of its notes.

        Returns:
            None if a part is not there: it was trimmed, or never written.

        Raises:
            RedisUnavailableError: Redis did not answer in time.
        """
        found: list[OutboxEntry] = []
        position = after
        for _ in range(_MAX_PAGES):
            page = await self._page(room, position)
            for entry in page.entries:
                if entry.room == room and entry.sequence > sequences.after:
                    found.append(entry)
                    if entry.sequence >= sequences.through:
                        return _whole(found, sequences)
            if page.last is None:
                break
            position = page.last
        return None

    async def _page(self, room: str, after: OutboxId) -> "_Page":
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                raw: Any = await self._redis.xrange(
                    outbox_key(partition_of(room)), f"({after}", "+", count=_PAGE_ENTRIES
                )
        except (*REDIS_AWAY, RedisError) as error:
            raise RedisUnavailableError(words_for(error)) from error
        entries: list[OutboxEntry] = []
        for outbox_id, fields in raw:
            try:
                entries.append(decode_entry(outbox_id, fields))
            except CorruptOutboxEntryError:
                continue  # history logs it, and sets it aside
        return _Page(entries, OutboxId.parse(raw[-1][0]) if raw else None)


class _Page(NamedTuple):
    entries: Sequence[OutboxEntry]
    last: OutboxId | None
    """The next page begins after this id; None: the outbox has ended."""


def _whole(found: Sequence[OutboxEntry], sequences: SequenceRange) -> Found | None:
    wanted = sequences.after + 1
    for entry in found:
        wanted = max(wanted, entry.floor + 1)  # nothing before a floor is left
        if entry.sequence != wanted:
            return None
        wanted += 1
    entries = [entry for entry in found if entry.sequence <= sequences.through]
    return Found(entries, max(entry.epoch for entry in found), found[0].floor)
