"""Doubts whether Redis still holds what was seen, and that one hides no other."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from chat_gateway.rooms.data_check import DataCheck
from notecast_runtime.keyspace import epoch_key, heads_key, outbox_key
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.client import Redis, connect
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from tests.support.valkey import ValkeyProcess

PARTITION = 5
FIRST, SECOND, THIRD = (OutboxId(number, 0) for number in (10, 20, 30))


class Checked(NamedTuple):
    """What a gateway asks, and Redis."""

    data: DataCheck
    guard: EpochGuard
    redis: Redis

    async def write(self, *entries: OutboxId) -> None:
        """Writes the outbox anew, as if it never had other entries."""
        await self.redis.delete(outbox_key(PARTITION))
        for number, entry in enumerate(entries):
            await self.redis.xadd(
                outbox_key(PARTITION),
                {"r": "lobby", "e": await self.epoch(), "s": number + 1, "n": ""},
                id=str(entry),
            )

    async def epoch(self) -> int:
        """The partition's epoch."""
        return int(await self.redis.get(epoch_key(PARTITION)) or 0)

    async def connections(self) -> int:
        """How many were made so far."""
        return int((await self.redis.info("stats"))["total_connections_received"])


@pytest.fixture
async def checked(valkey: ValkeyProcess) -> AsyncIterator[Checked]:
    guard = EpochGuard()
    redis = connect(valkey.url, guard, 5)
    data = DataCheck(RedisConnector(valkey.url, guard, 5), redis, redis, guard.fence)
    await redis.set(epoch_key(PARTITION), 1_700_000_000_000)
    await redis.hset(heads_key(PARTITION), "lobby", 2)
    yield Checked(data, guard, redis)
    await redis.aclose()


async def test_a_doubt_that_was_none_does_not_hide_that_the_same_entry_is_lost_later(
    checked: Checked,
) -> None:
    await checked.write(FIRST, SECOND)
    before = await checked.epoch()
    checked.guard.fence.see(PARTITION, before, SECOND)
    checked.guard.fence.suspect(PARTITION, before, FIRST)
    await checked.data.look()
    assert await checked.epoch() == before
    await checked.write(FIRST)
    await checked.data.look()
    assert await checked.epoch() > before


async def test_a_doubt_is_settled_also_where_the_newest_entry_was_trimmed_before(
    checked: Checked,
) -> None:
    await checked.write(FIRST, SECOND, THIRD)
    await checked.redis.xtrim(outbox_key(PARTITION), maxlen=1, approximate=False)
    before = await checked.epoch()
    checked.guard.fence.see(PARTITION, before, SECOND)
    await checked.data.look()
    assert await checked.epoch() == before
    checked.guard.fence.suspect(PARTITION, before, OutboxId(40, 0))
    await checked.data.look()
    assert await checked.epoch() > before


async def test_an_entry_that_was_trimmed_does_not_hide_one_that_was_lost(checked: Checked) -> None:
    await checked.write(FIRST, SECOND)
    await checked.redis.xtrim(outbox_key(PARTITION), maxlen=1, approximate=False)
    before = await checked.epoch()
    checked.guard.fence.see(PARTITION, before, THIRD)
    checked.guard.fence.suspect(PARTITION, before, FIRST)
    await checked.data.look()
    assert await checked.epoch() > before


async def test_where_nothing_is_in_doubt_no_connection_is_made_for_it(checked: Checked) -> None:
    await checked.write(FIRST, SECOND)
    fence = checked.guard.fence
    fence.see(PARTITION, await checked.epoch(), SECOND)
    await checked.redis.delete(heads_key(PARTITION))
    await checked.redis.set(heads_key(PARTITION), "of the wrong type")
    fence.suspect(PARTITION, await checked.epoch(), OutboxId(5, 0))
    await checked.data.look()
    before = await checked.connections()
    for _ in range(3):
        await checked.data.look()
    assert await checked.connections() == before
