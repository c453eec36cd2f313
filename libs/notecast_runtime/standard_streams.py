"""The streams of the services that every server has: watches of health, and reflection."""

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
"""Says whom a call comes from."""

MAX_STREAMS: Final = 1_000
_LIFETIME_SECONDS: Final = 1_800.0
_SHORTEST_LIFE: Final = 0.8
_LONGEST_LIFE: Final = 1.2


class StandardStreams:
    """Bounds these streams in number and age, and ends them when the server does.

    Nothing else would: a watch goes on until its client leaves.

    Args:
        shares: of the streams of this process, in which these count.
        client_of: whose share.
        lifetime_seconds: about how long one may last; drawn within 20 % for each, or those that
            came together would go together.
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
        """How many are open."""
        return len(self._open)

    @asynccontextmanager
    async def place(self, context: Context) -> AsyncIterator[None]:
        """A stream's place, for as long as the block runs, which is ended when its time is over.

        Args:
            context: its call.

        Raises:
            TooManyStreamsError: there is none.
            StreamExpiredError: the time is over.
            ShuttingDownError: the server ends.
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
        """Ends all, and lets none begin any more."""
        self._closed_by = ShuttingDownError("this process is about to end; another one serves")
        now = asyncio.get_running_loop().time()
        for life in self._open:
            if not life.expired():
                life.reschedule(now)
