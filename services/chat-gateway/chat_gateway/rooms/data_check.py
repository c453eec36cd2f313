"""Asks the epoch guard whether Redis still holds what was seen, without awaiting a reconnect."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import structlog

from chat_gateway.log.positions import PartitionHeads
from chat_gateway.rooms.room import Room
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.keyspace import outbox_key, partition_of
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import holds
from notecast_runtime.redis.fencing import NOTHING, Fence
from notecast_runtime.tasks import consume_exception

_PAUSE_SECONDS = 0.1
"""Pause between the end of a check and the next one, however many callers ask for it."""

_ANSWER_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class DataCheck:
    """Finds out whether Redis's data are older than what was seen. Implements `room.Doubts`.

    Connections may stay open while the data change: a backup is replicated into a running Redis,
    or a proxy hides that another server answers. A new connection settles such a doubt: the guard
    speaks first on it, and it alone decides. So an unfounded doubt costs no epoch.

    Args:
        connector: makes the new connection.
        watching: client that looks for what was seen.
        serving: client that is disconnected like `watching` if doubts remain, because its
            connections lead to another server.
        fence: remembers what was seen.
    """

    def __init__(
        self, connector: RedisConnector, watching: Redis, serving: Redis, fence: Fence
    ) -> None:
        self._connector = connector
        self._watching = watching
        self._serving = serving
        self._fence = fence
        self._checking: asyncio.Task[None] | None = None
        self._settled = NOTHING

    def recall(self, rooms: Iterable[Room]) -> None:
        """Tells the fence the newest entries that open rooms have received, before it is asked."""
        newest: dict[tuple[int, int], OutboxId] = {}
        for room in rooms:
            key = (partition_of(room.name), room.log.epoch)
            newest[key] = max(room.outbox_id, newest.get(key, NOTHING))
        for (partition, epoch), entry in newest.items():
            self._fence.suspect(partition, epoch, entry)

    def see(self, room: str, epoch: int) -> None:
        """Learns that this epoch has begun in the room; see `Doubts.see`."""
        self._fence.see(partition_of(room), epoch)

    def suspect(self, room: str, epoch: int, entry: OutboxId) -> None:
        """Learns that Redis may have lost an entry; see `Doubts.suspect`."""
        self._fence.suspect(partition_of(room), epoch, entry)

    def see_heads(self, answers: Iterable[tuple[int, PartitionHeads]]) -> None:
        """Learns the heads of partitions that were read from Redis."""
        for partition, (epoch, outbox_id, *_) in answers:
            self._fence.see(partition, epoch, outbox_id)

    async def check(self) -> None:
        """Lets the guard check the data. Concurrent callers share the check, and the pause.

        Raises:
            RedisUnavailableError: Redis does not answer in time, or can't tell.
        """
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check())
            self._checking.add_done_callback(consume_exception)
        await asyncio.shield(self._checking)

    async def look(self) -> None:
        """Looks for the newest entry that was seen, and runs `check` if it is not there.

        One entry stands for all, because what Redis loses is always the newest.

        Raises:
            RedisUnavailableError: Redis does not answer in time.
        """
        newest = self._fence.newest()
        if newest is None:
            return
        partition, entry = newest
        if entry == self._settled and not self._fence.has_suspects:
            return
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await self._watching.xrange(
                    outbox_key(partition), str(entry), "+", count=1
                )
        except (*REDIS_AWAY, RedisError) as error:
            raise RedisUnavailableError(f"Redis does not show its outbox: {error}") from error
        held = holds(answer, entry)
        if self._fence.has_suspects or not held:
            await self.check()
        if not held:
            self._settled = entry  # it may have been trimmed; then it is never found again

    async def reconnect(self) -> None:
        """Closes the connections: as doubts remain, they lead elsewhere than new ones do."""
        _log.warning("connections_given_up", reason="they show data of an earlier epoch")
        for redis in (self._watching, self._serving):
            with suppress(*REDIS_AWAY, RedisError):
                await redis.connection_pool.disconnect(inuse_connections=True)

    async def _check(self) -> None:
        try:
            async with self._connector.connected():
                pass
        except (*REDIS_AWAY, RedisError) as error:
            raise RedisUnavailableError(f"the epoch can't be checked: {error}") from error
        await asyncio.sleep(_PAUSE_SECONDS)
