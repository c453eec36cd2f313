"""Asks the epoch guard whether Redis still holds what was seen, without waiting for a reconnect."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import structlog

from chat_gateway.log.positions import PartitionHeads
from chat_gateway.rooms.room import Room
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import holds
from notecast_runtime.redis.fencing import NOTHING, Fence
from notecast_runtime.redis.keyspace import outbox_key, partition_of
from notecast_runtime.tasks import consume_exception

_PAUSE_SECONDS = 0.1
"""From the end of a check until the next one begins, however many ask for it."""

_ANSWER_SECONDS = 0.5

_log = structlog.get_logger(__name__)


class DataCheck:
    """Finds out whether the data are older than what was seen of them. Implements `room.Doubts`.

    The connections may live on while that happens: a backup is replicated into a Redis that runs,
    or a proxy hides that another server answers. A doubt is settled by a new connection: the guard
    is the first to speak on it, and it alone decides. So a doubt that is none costs no epoch.

    Args:
        connector: makes that connection.
        watching: looks for what was seen.
        serving: given up as that one is, where doubts remain: they lead elsewhere.
        fence: what was seen.
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
        """Has the fence look for the newest that open rooms have heard, before it is asked."""
        newest: dict[tuple[int, int], OutboxId] = {}
        for room in rooms:
            key = (partition_of(room.name), room.log.epoch)
            newest[key] = max(room.outbox_id, newest.get(key, NOTHING))
        for (partition, epoch), entry in newest.items():
            self._fence.suspect(partition, epoch, entry)

    def see(self, room: str, epoch: int) -> None:
        """As Doubts.see."""
        self._fence.see(partition_of(room), epoch)

    def suspect(self, room: str, epoch: int, entry: OutboxId) -> None:
        """As Doubts.suspect."""
        self._fence.suspect(partition_of(room), epoch, entry)

    def see_heads(self, answers: Iterable[tuple[int, PartitionHeads]]) -> None:
        """Learns how far the data of partitions go."""
        for partition, (epoch, outbox_id, *_) in answers:
            self._fence.see(partition, epoch, outbox_id)

    async def check(self) -> None:
        """Has the guard look at the data. Whoever asks meanwhile shares it, and a pause after it.

        Raises:
            RedisUnavailableError: Redis does not answer in time, or can't say it.
        """
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check())
            self._checking.add_done_callback(consume_exception)
        await asyncio.shield(self._checking)

    async def look(self) -> None:
        """Looks for the newest entry that was seen, and checks where it is not found at once.

        One entry stands for all: what Redis has lost is the newest it had.

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
            self._settled = entry  # it may have been trimmed: then no look will find it

    async def reconnect(self) -> None:
        """Gives up the connections: doubts remain, so they lead elsewhere than new ones do."""
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
