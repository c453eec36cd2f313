"""One question to Redis for all who ask at the same time where rooms stand."""

import asyncio
from collections.abc import Iterable

from chat_gateway.heads import Head, Heads


class SharedHeads:
    """Reads heads for many at once: who comes while a read is under way shares the next one.

    What is given was read after it was asked for, as who joins a room needs it.

    Args:
        heads: asks Redis.
    """

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self._wanted: set[str] = set()
        self._now: asyncio.Task[dict[str, Head]] | None = None
        self._next: asyncio.Task[dict[str, Head]] | None = None

    async def read(self, rooms: Iterable[str]) -> dict[str, Head]:
        """As Heads.read; others' rooms may be in the answer, too."""
        self._wanted.update(rooms)
        if self._next is None:
            self._next = asyncio.create_task(self._read_behind(self._now))
            self._next.add_done_callback(_hear_out)
        return await asyncio.shield(self._next)

    async def _read_behind(self, earlier: asyncio.Task[dict[str, Head]] | None) -> dict[str, Head]:
        if earlier is not None:
            await asyncio.wait({earlier})
        self._now, self._next = self._next, None
        wanted, self._wanted = self._wanted, set()
        return await self._heads.read(wanted)


def _hear_out(read: asyncio.Task[dict[str, Head]]) -> None:
    """Whoever asked may be gone; then nobody is left to be told of an error."""
    if not read.cancelled():
        read.exception()
