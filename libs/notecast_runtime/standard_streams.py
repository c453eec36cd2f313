"""Bounds the streams of services that every server has: health watches and reflection."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

from grpc import aio

from notecast_runtime.errors import (
    NotecastError,
    ShuttingDownError,
    StreamExpiredError,
    TooManyStreamsError,
)
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import Shares

Context: TypeAlias = "aio.ServicerContext[Any, Any]"
ClientOf = Callable[[Context], ClientId]
"""Returns the client that a call comes from."""

MAX_STREAMS: Final = 1_000
_LIFETIME_SECONDS: Final = 1_800.0
_SHORTEST_LIFE: Final = 0.8
_LONGEST_LIFE: Final = 1.2


class StandardStreams:
    """Bounds these streams in number and age, and ends them with the server.

    Nothing else would end them: a watch goes on until its client leaves.

    Args:
        shares: the shares of this process's streams; these streams count in them.
        client_of: returns the client of a call.
        lifetime_seconds: the greatest age. It varies by up to 20 %, so that streams that came
            together don't leave together.
    """

    def __init__(
        self,
        shares: Shares,
        client_of: ClientOf,
        lifetime_seconds: float = _LIFETIME_SECONDS,
    ) -> None:
        self._shares = shares
        self._client_of = client_of
        self._lifetime_seconds = lifetime_seconds
        self._open: set[asyncio.Timeout] = set()
        self._closed_by: NotecastError | None = None

    def __len__(self) -> int:
        """The number of open streams."""
        return len(self._open)

    @asynccontextmanager
    async def place(self, context: Context) -> AsyncIterator[None]:
        """Counts a stream as open while the block runs; ends the block at its greatest age.

        Args:
            context: the stream's call.

        Raises:
            TooManyStreamsError: the bound is reached.
            StreamExpiredError: the stream has reached its greatest age.
            ShuttingDownError: the server is about to end.
        """
        if self._closed_by is not None:
            raise self._closed_by
        client = self._client_of(context)
        if refusal := self._shares.take(client):
            raise TooManyStreamsError(refusal.limit, refusal.scope)
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
        finally:
            self._shares.give_back(client)

    def close(self) -> None:
        """Ends all streams, and refuses new ones from now on."""
        self._closed_by = ShuttingDownError("this process is about to end; another one serves")
        now = asyncio.get_running_loop().time()
        for life in self._open:
            if not life.expired():
                life.reschedule(now)
