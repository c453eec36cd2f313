"""One question to Redis for all who ask at the same time where rooms stand."""

import asyncio
from collections.abc import Collection

from chat_gateway.log.positions import Head
from chat_gateway.store.heads import Heads, known
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.tasks import consume_exception, outcome_of

_Heads = dict[str, Head | RedisUnavailableError]
_Read = asyncio.Task[_Heads]


class SharedHeads:
    """Reads heads for many at once: who comes while a read is under way shares the next one.

    What is given was read after it was asked for, as who joins a room needs it.

    Args:
        heads: asks Redis.
    """

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._wanted: set[str] = set()
        self._now: _Read | None = None
        self._next: _Read | None = None

    async def read(self, rooms: Collection[str]) -> dict[str, Head]:
        """The heads of the rooms.

        Raises:
            RedisUnavailableError: Redis did not answer in time, or can't tell of one of these.
        """
        self._wanted.update(rooms)
        if self._next is None:
            self._next = asyncio.create_task(self._read_behind(self._now))
            self._next.add_done_callback(consume_exception)
        found = await outcome_of(self._next)
        return {room: known(found[room]) for room in rooms}

    async def _read_behind(self, earlier: _Read | None) -> _Heads:
        if earlier is not None:
            await asyncio.wait({earlier})
        self._now, self._next = self._next, None
        wanted, self._wanted = self._wanted, set()
        return await self._heads.read(wanted)
