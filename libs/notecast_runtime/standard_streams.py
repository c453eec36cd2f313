"""The streams of the services that every server has: watches of health, and reflection."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from notecast_runtime.errors import (
    NotecastError,
    ShuttingDownError,
    StreamExpiredError,
    TooManyStreamsError,
)

_MAX_STREAMS: Final = 1_000
_LIFETIME_SECONDS: Final = 1_800.0
_SHORTEST_LIFE: Final = 0.8
_LONGEST_LIFE: Final = 1.2


class StandardStreams:
    """Bounds these streams in number and age, and ends them when the server does.

    Nothing else would: a watch goes on until its client leaves.

    Args:
        max_streams: bound on those that are open.
        lifetime_seconds: about how long one may last; drawn within 20 % for each, or those that
            came together would go together.
    """

    def __init__(
        self, max_streams: int = _MAX_STREAMS, lifetime_seconds: float = _LIFETIME_SECONDS
    ) -> None:
        self._max_streams = max_streams
        self._lifetime_seconds = lifetime_seconds
        self._open: set[asyncio.Timeout] = set()
        self._closed_by: NotecastError | None = None

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A stream's place, for as long as the block runs, which is ended when its time is over.

        Raises:
            TooManyStreamsError: there is none.
            StreamExpiredError: the time is over.
            ShuttingDownError: the server ends.
        """
        if self._closed_by is not None:
            raise self._closed_by
        if len(self._open) >= self._max_streams:
            raise TooManyStreamsError(self._max_streams)
        share = random.uniform(_SHORTEST_LIFE, _LONGEST_LIFE)  # noqa: S311 - jitter needs no secrecy
        try:
            async with asyncio.timeout(share * self._lifetime_seconds) as life:
                self._open.add(life)
                try:
                    yield
                finally:
                    self._open.discard(life)
        except TimeoutError:
            raise self._closed_by or StreamExpiredError(self._lifetime_seconds) from None

    def close(self) -> None:
        """Ends all, and lets none begin any more."""
        self._closed_by = ShuttingDownError("this process is about to end; another one serves")
        now = asyncio.get_running_loop().time()
        for life in self._open:
            if not life.expired():
                life.reschedule(now)
