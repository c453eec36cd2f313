"""Migrates data from layout 1 to layout 2: renames every key to its partition's new tag.

It may be killed at any point, and run again. Its progress is stored in Redis:

1. The layout's version becomes `1>2`, which no release knows, and every other connection to
   the database is ended: services are refused from then on.
2. An inventory of the data is written to `nc:migration`.
3. Every key is renamed. RENAME moves a key with its content and its expiry.
4. The inventory is taken again, and must say the same. Then the version becomes 2.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from notecast_runtime.keyspace import (
    LAYOUT_KEY,
    LAYOUT_VERSION,
    first_layout_prefix,
    first_layout_runs,
    prefix_of,
)
from notecast_runtime.redis.inventory import Facts, Inventory
from notecast_runtime.redis.layout import MIGRATION

RECORD_KEY = "nc:migration"
"""A string that exists during a migration: the inventory at its start."""

_OLD, _NEW = b"1", b"%d" % LAYOUT_VERSION

# KEYS: the layout's key; the runs that layout 1 remembered. ARGV: the state to enter, from which.
# Data without a version are of layout 1 where they remember a run (`layout`).
_BEGIN = """
local found = redis.call('GET', KEYS[1])
if found == ARGV[1] then
  return found
end
local first = found == ARGV[2]
for i = 2, #KEYS do
  first = first or (not found and redis.call('EXISTS', KEYS[i]) == 1)
end
if not first then
  return found
end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]
"""

Report = Callable[[str, int], None]
"""Called with the current step, and the number of keys done."""


class MigrationError(Exception):
    """The data can't be migrated. They are unchanged, unless the message says otherwise."""


class Migrated(NamedTuple):
    """The result of a migration."""

    keys: int
    """The keys that this run renamed; an earlier run that was killed may have renamed others."""

    facts: Facts | None
    """The inventory of all data; None if there was nothing to do."""


class Migration:
    """One run of the command.

    Args:
        redis: a client without a guard, with answers as bytes, on a single connection.
        report: called with the progress.
        page_keys: the approximate number of keys that are read, or renamed, in one round trip.
    """

    def __init__(self, redis: Redis, report: Report, page_keys: int = 500) -> None:
        self._redis = redis
        self._report = report
        self._old = Inventory(redis, first_layout_prefix, page_keys)
        self._new = Inventory(redis, prefix_of, page_keys)

    async def run(self) -> Migrated:
        """Migrates all data.

        Raises:
            MigrationError: the data can't be migrated, or differ afterwards.
            RedisError, OSError: Redis did not answer; run it again.
        """
        await self._refuse_a_cluster()
        if await self._begin() == _NEW:
            return Migrated(0, None)
        await self._end_other_connections()
        before = await self._recorded()
        if before is None:
            before = await self._take(self._old, "counted")
            await self._redis.set(RECORD_KEY, json.dumps(before.as_json()))
        renamed = await self._rename_all()
        after = await self._take(self._new, "checked")
        if faults := before.differences(after):
            raise MigrationError(
                f"what was carried over differs: {'; '.join(faults)}. The layout stays"
                f" {MIGRATION}: restore the backup, and report this"
            )
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.set(LAYOUT_KEY, _NEW)
            pipeline.delete(RECORD_KEY)
            await pipeline.execute()
        return Migrated(renamed, after)

    async def _refuse_a_cluster(self) -> None:
        facts: Any = await self._redis.info("cluster")
        if facts.get("cluster_enabled"):
            raise MigrationError(
                "this is a Redis Cluster, where no key can be renamed from one slot to another;"
                " restore a backup of the data into a single Redis, and migrate them there"
            )

    async def _begin(self) -> bytes:
        """Enters the state of a migration; returns the current version of the data."""
        keys = (LAYOUT_KEY, *first_layout_runs())
        found: Any = await self._redis.eval(_BEGIN, len(keys), *keys, MIGRATION, _OLD)
        if found not in {MIGRATION.encode(), _NEW}:
            stands = "nothing" if found is None else found.decode(errors="replace")
            raise MigrationError(
                f"{LAYOUT_KEY} is {stands}: data of layout 1 were expected."
                " Is this the right Redis, and the right database?"
            )
        return bytes(found)

    async def _end_other_connections(self) -> None:
        """Closes connections that passed a guard before the version changed; new ones don't."""
        own: Any = await self._redis.client_id()
        connections: Any = await self._redis.client_list()
        mine = next(c["db"] for c in connections if int(c["id"]) == own)
        for connection in connections:
            is_replication = set(connection["flags"]) & {"S", "M"}
            if connection["db"] == mine and int(connection["id"]) != own and not is_replication:
                await self._redis.client_kill_filter(_id=connection["id"])

    async def _recorded(self) -> Facts | None:
        """The inventory at the start of the migration; None if nothing was renamed yet."""
        record: Any = await self._redis.get(RECORD_KEY)
        return None if record is None else Facts.from_json(json.loads(record))

    async def _take(self, inventory: Inventory, what: str) -> Facts:
        facts = Facts()
        async for part in inventory.parts():
            facts.add(part)
            self._report(what, facts.keys)
        return facts

    async def _rename_all(self) -> int:
        """Renames until a scan finds nothing; a scan sees all keys that exist at its start."""
        renamed = 0
        while True:
            before = renamed
            async for names in self._old.names():
                renamed += await self._rename(names)
                self._report("renamed", renamed)
            if renamed == before:
                return renamed

    async def _rename(self, names: Sequence[tuple[int, bytes]]) -> int:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for partition, rest in names:
                pipeline.renamenx(
                    first_layout_prefix(partition).encode() + rest,
                    prefix_of(partition).encode() + rest,
                )
            answers = await pipeline.execute(raise_on_error=False)
        renamed = 0
        for (partition, rest), answer in zip(names, answers, strict=True):
            if isinstance(answer, ResponseError) and "no such key" in str(answer):
                continue  # it has expired meanwhile
            if isinstance(answer, Exception):
                raise answer
            if not answer:
                name = (prefix_of(partition).encode() + rest).decode(errors="replace")
                raise MigrationError(f"{name} is there already: something else wrote it")
            renamed += 1
        return renamed
