"""Reads notes that were accepted and not heard from the outbox, before history has them."""

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
"""Readers wait for what is read here: a connection may be dead, and another one is soon made."""
_MAX_PAGES = 40
"""A gap that is longer than so many entries of its partition is read from history."""


class Found(NamedTuple):
    """A range of a room's log."""

    entries: Sequence[OutboxEntry]
    """In order."""

    epoch: int
    """The latest of those entries, and of one after the range that ended the search."""

    floor: int
    """Up to here the room has nothing that is not shown by now; 0: that is not known."""


class OutboxRange:
    """The outbox, as far as repair needs it.

    Args:
        redis: where it is.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read(self, room: str, sequences: SequenceRange, behind: OutboxId) -> "Found | None":
        """The range, whole and in order.

        Args:
            room: whose notes.
            sequences: the range.
            behind: an outbox id before all of them.

        Returns:
            None where a part is not there: it has been trimmed, or was never written.

        Raises:
            RedisUnavailableError: Redis did not answer in time.
        """
        found: list[OutboxEntry] = []
        position = behind
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

    async def _page(self, room: str, behind: OutboxId) -> "_Page":
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                raw: Any = await self._redis.xrange(
                    outbox_key(partition_of(room)), f"({behind}", "+", count=_PAGE_ENTRIES
                )
        except (*REDIS_AWAY, RedisError) as error:
            raise RedisUnavailableError(words_for(error)) from error
        entries: list[OutboxEntry] = []
        for outbox_id, fields in raw:
            try:
                entries.append(decode_entry(outbox_id, fields))
            except CorruptOutboxEntryError:
                continue  # history says so, and sets it aside
        return _Page(entries, OutboxId.parse(raw[-1][0]) if raw else None)


class _Page(NamedTuple):
    entries: Sequence[OutboxEntry]
    last: OutboxId | None
    """Behind which the next page begins; None where the outbox has ended."""


def _whole(found: Sequence[OutboxEntry], sequences: SequenceRange) -> Found | None:
    wanted = sequences.after + 1
    for entry in found:
        wanted = max(wanted, entry.floor + 1)  # nothing is left of what came before a floor
        if entry.sequence != wanted:
            return None
        wanted += 1
    entries = [entry for entry in found if entry.sequence <= sequences.through]
    return Found(entries, max(entry.epoch for entry in found), found[0].floor)
