"""The Redis of a run: a primary, and for a while a second server that follows it, or once led."""

import time
from collections import deque
from typing import Any

from notecast_client.cursors import Position
from notecast_runtime.keyspace import FLOOR_FIELD, PARTITIONS, outbox_key
from tests.chaos.folder import RunFolder
from tests.chaos.records import WentBack
from tests.chaos.redis_server import RedisServer, Standing
from tests.support.waiting import eventually

_FAILOVER_SECONDS = 10.0

_MOST_RETURNS, _RETURNS_SECONDS = 3, 60.0
"""How often the address may lead back: one that does so all the time is refused by services."""


class RedisPair:
    """At most two servers, on two ports.

    Args:
        ports: of both.
        folder: for data and logs.

    Attributes:
        primary: where all clients are to be led.
    """

    def __init__(self, ports: tuple[int, int], folder: RunFolder) -> None:
        self._folder = folder
        self._ports = ports
        self._count = 0
        self.primary = self._new_server(ports[0])
        self._second: RedisServer | None = None
        self._returns: deque[float] = deque(maxlen=_MOST_RETURNS)

    async def start(self) -> None:
        """Starts the primary; returns when it answers."""
        await self.primary.start()

    async def stop(self) -> None:
        """Leaves nothing running."""
        for server in filter(None, (self.primary, self._second)):
            await server.close()

    async def forget_second(self) -> None:
        """Removes the second server, if there is one."""
        if self._second is not None:
            await self._second.remove()
            self._second = None

    async def add_second(self) -> None:
        """Starts another server, which has all data of the primary and follows it."""
        await self.forget_second()
        (port,) = set(self._ports) - {self.primary.port}
        self._second = self._new_server(port)
        await self._second.start()
        await self._second.follow(self.primary)

    async def fail_over(self) -> None:
        """Swaps the two. Nothing is lost, and no connection ends."""
        second = self._following()
        await self.primary.redis.execute_command(  # type: ignore[no-untyped-call]
            "FAILOVER", "TO", "127.0.0.1", second.port, "TIMEOUT", int(_FAILOVER_SECONDS * 1000)
        )
        await eventually(second.leads, "the replica has taken over", _FAILOVER_SECONDS)
        self.primary, self._second = second, self.primary

    @property
    def may_return(self) -> bool:
        """Whether services would still follow their address back to a server of before."""
        full = len(self._returns) == _MOST_RETURNS
        return not full or time.monotonic() - self._returns[0] > _RETURNS_SECONDS

    async def part(self) -> None:
        """Makes the second one lead, with just the data of the primary, which stays as it is.

        No service may have a way to the primary meanwhile.
        """
        second = self._following()
        await self.primary.end_connections()

        async def has_all() -> bool:
            return await second.offset() == await self.primary.offset()

        await eventually(has_all, "the replica has all", _FAILOVER_SECONDS)
        await second.lead()
        self.primary, self._second = second, self.primary

    async def go_back(self) -> list[WentBack]:
        """Gives up the primary's data for those of the second server; says what is gone.

        No service may have a way to either of them meanwhile.
        """
        older, lost = self._following(), self.primary
        await lost.end_connections()
        gone = _gone(await lost.standings(), await older.standings())
        self.primary, self._second = older, lost
        await self.forget_second()
        self._returns.append(time.monotonic())
        return gone

    async def advance_ids(self, seconds: float) -> int:
        """Gives all further entries of the outboxes ids of a clock that is ahead.

        Args:
            seconds: how far.

        Returns:
            How many outboxes there were, and not ahead already.
        """
        redis = self.primary.redis
        now: Any = await redis.time()
        ahead = int((now[0] + seconds) * 1000)
        advanced = 0
        for key in map(outbox_key, range(PARTITIONS)):
            if not await redis.exists(key):
                continue
            facts: Any = await redis.xinfo_stream(key)
            if int(facts["last-generated-id"].split(b"-")[0]) < ahead:
                await redis.execute_command("XSETID", key, f"{ahead}-0")  # type: ignore[no-untyped-call]
                advanced += 1
        return advanced

    def _following(self) -> RedisServer:
        assert self._second is not None, "add_second comes first"
        return self._second

    def _new_server(self, port: int) -> RedisServer:
        self._count += 1
        name = f"valkey-{self._count}"
        return RedisServer(name, port, self._folder.data / name, self._folder.logs)


def _gone(lost: list[Standing], kept: list[Standing]) -> list[WentBack]:
    """The epochs that only the lost data have, of each room, and where it stands in the others."""
    now = time.monotonic()
    return [
        WentBack(now, room, epoch, Position(theirs.epoch, theirs.heads.get(room, 0)))
        for ours, theirs in zip(lost, kept, strict=True)
        for epoch in sorted(ours.epochs - theirs.epochs)
        for room in ours.heads
        if room != FLOOR_FIELD
    ]
