"""Clients that chat through one address while somebody disturbs the system that it leads to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Self

from notecast_client.cursors import Position
from tests.chaos.breaks import Breaks
from tests.chaos.cast import draw_cast
from tests.chaos.crowd import Crowd, rooms_of
from tests.chaos.faults import EVERYONE, Kind
from tests.chaos.findings import Findings
from tests.chaos.folder import RunFolder
from tests.chaos.plan import Plan
from tests.chaos.records import Injected, Journal
from tests.support.waiting import eventually

_BEGIN_SECONDS = 60.0
_QUIET_SECONDS = 60.0

Heads = Callable[[Sequence[str]], Awaitable[Mapping[str, Position]]]
"""Says where the logs of rooms end."""


class Chat:
    """All clients of one run, and what they wrote down. `Chat.running` makes it.

    Attributes:
        crowd: the clients.
    """

    def __init__(self, plan: Plan, folder: RunFolder, kinds: Mapping[str, Kind]) -> None:
        self.crowd = Crowd(folder, plan.seed)
        self._plan = plan
        self._folder = folder
        self._kinds = kinds
        self._journal = Journal(folder.faults)

    @classmethod
    @asynccontextmanager
    async def running(
        cls, plan: Plan, folder: RunFolder, port: int, kinds: Mapping[str, Kind]
    ) -> AsyncIterator[Self]:
        """Clients, all of them at it; gone on leaving.

        Args:
            plan: who takes part.
            folder: where they write; made empty.
            port: where they find the system, on 127.0.0.1.
            kinds: the disturbances to come, by name, and what may be expected of each.
        """
        folder.begin(plan)
        chat = cls(plan, folder, kinds)
        crowd = chat.crowd
        doors = {"envoy": port}
        try:
            await crowd.begin(draw_cast(plan), doors, doors)
            await eventually(
                lambda: crowd.streams >= plan.readers and crowd.acknowledged,
                f"{plan.readers} streams are open, and notes acknowledged",
                plan.seconds + _BEGIN_SECONDS,
            )
            yield chat
        finally:
            await crowd.stop()
            chat._journal.close()

    async def disturb(self, kind: str, doing: Awaitable[object], notes: int) -> None:
        """Does something to the system; returns when so many notes more were acknowledged."""
        begin = monotonic()
        await doing
        self._journal.write(Injected(begin, monotonic(), kind, EVERYONE, hit=True))
        enough = self.crowd.acknowledged + notes
        await eventually(
            lambda: self.crowd.acknowledged >= enough, f"notes after {kind}", _QUIET_SECONDS
        )

    async def finish(self, heads: Heads) -> Findings:
        """Waits until all have caught up, and checks what they saw."""
        await self.crowd.finish_writers(_QUIET_SECONDS)
        ends = await heads(rooms_of(draw_cast(self._plan).readers))
        await self.crowd.finish_readers(ends, _QUIET_SECONDS)
        self._journal.close()
        return await asyncio.to_thread(self._folder.check, self._kinds)

    def breaks(self) -> Breaks:
        """What the clients had to mend."""
        return self._folder.breaks()
