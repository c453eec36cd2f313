"""Reads the heads of rooms with one query for all callers that ask at the same time."""

import asyncio
from collections.abc import Collection

from chat_gateway.log.positions import Head
from chat_gateway.store.heads import Heads, known
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.tasks import consume_exception, outcome_of

_Heads = dict[str, Head | RedisUnavailableError]
_Read = asyncio.Task[_Heads]


class SharedHeads:
    """Reads heads for many callers at once: those that come during a read share the next one.

    So a head is always read after it was asked for, as joining a room requires.

    Args:
        heads: reads heads from Redis.
    """

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._wanted: set[str] = set()
        self._now: _Read | None = None
        self._next: _Read | None = None

    async def read(self, rooms: Collection[str]) -> dict[str, Head]:
        """Reads the heads of the rooms.

        Raises:
            RedisUnavailableError: Redis did not answer in time, or the partition of a room failed.
        """
        self._wanted.update(rooms)
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._now))
            self._next.add_done_callback(consume_exception)
        found = await outcome_of(self._next)
        return {room: known(found[room]) for room in rooms}

    async def _read_after(self, earlier: _Read | None) -> _Heads:
        if earlier is not None:
            await asyncio.wait({earlier})
        self._now, self._next = self._next, None
        wanted, self._wanted = self._wanted, set()
        return await self._heads.read(wanted)
