"""History replicas as processes of their own, and notes that go on coming meanwhile."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from notecast_runtime.keyspace import (
    PARTITIONS,
    heads_key,
    lease_key,
    log_key,
    outbox_key,
    partition_of,
    persisted_key,
)
from notecast_runtime.settings import variable_of
from tests.support.outbox_writer import AcceptedNote, OutboxWriter
from tests.support.ports import free_port
from tests.support.valkey import ValkeyProcess

_WRITE_SECONDS = 0.002
_END_SECONDS = 10


class HistoryReplica:
    """`python -m history`; killed on leaving if it still lives.

    Args:
        valkey: the Redis that it works on.
        settings: as in HistorySettings.
    """

    def __init__(self, valkey: ValkeyProcess, **settings: object) -> None:
        self.port = free_port()
        chosen = {
            "redis_url": valkey.url,
            "redis_timeout_seconds": 1,
            "listen_host": "127.0.0.1",
            "listen_port": self.port,
            "log_level": "warning",
        } | settings
        self._environment = {variable_of(name): str(v) for name, v in chosen.items()}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        """Where it serves."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """As its leases name it."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it, and does not wait."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "history"],
            env={**os.environ, **self._environment},
            cwd=Path("/"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> int:
        """Ends it in an orderly way; returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it without a word, also where it is paused."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stops it in its tracks, and returns once it stands."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Lets it go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to it."""
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=_END_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()


class Load:
    """Notes that came in meanwhile. `notes`, by room, is whole once the load has ended."""

    def __init__(self) -> None:
        self.notes: dict[str, list[AcceptedNote]] = defaultdict(list)


@contextmanager
def under_load(client: redis.Redis, rooms: Sequence[str], seed: int) -> Iterator[Load]:
    """Accepts notes of the rooms meanwhile, a few hundred each second, in a thread."""
    load, ending = Load(), threading.Event()

    def write() -> None:
        writer, dice = OutboxWriter(client), random.Random(seed)  # noqa: S311 - repeatable
        while not ending.wait(_WRITE_SECONDS):
            room = dice.choice(rooms)
            texts = [f"{len(load.notes[room])}.{i}" for i in range(dice.randint(1, 5))]
            load.notes[room] += writer.accept_all(room, texts)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield load
    finally:
        ending.set()
        thread.join()


def lease_holders(client: redis.Redis) -> dict[int, str]:
    """The holder of each partition whose lease is held."""
    holders: Any = client.mget([lease_key(n) for n in range(PARTITIONS)])
    return {n: holder.decode() for n, holder in enumerate(holders) if holder}


def held_by(client: redis.Redis, pid: int) -> set[int]:
    """The partitions that a process holds."""
    return {n for n, holder in lease_holders(client).items() if f":{pid}:" in holder}


def blocked_readers(client: redis.Redis) -> int:
    """How many connections wait in an XREAD at the moment."""
    connections: Any = client.client_list()
    return sum(c["cmd"] == "xread" and "b" in c["flags"] for c in connections)


def hidden_notes(client: redis.Redis, room: str) -> set[int]:
    """The sequences given out in a room that are neither after its stream's end nor in the tail.

    Looked at in one moment. What is in neither is lost, or would be for a replay.
    """
    partition = partition_of(room)
    with client.pipeline(transaction=True) as pipeline:
        pipeline.hget(heads_key(partition), room)
        pipeline.xrevrange(log_key(room), count=1)
        pipeline.get(persisted_key(partition))
        pipeline.xrange(outbox_key(partition))
        head, newest, position, outbox = pipeline.execute()
    last = int(newest[0][0].split(b"-")[0]) if newest else 0
    tail = {
        int(fields[b"s"])
        for outbox_id, fields in outbox
        if fields[b"r"] == room.encode() and _order(outbox_id) > _order(position or b"0-0")
    }
    return set(range(last + 1, int(head or 0) + 1)) - tail


def _order(outbox_id: bytes) -> tuple[int, ...]:
    return tuple(int(part) for part in outbox_id.split(b"-"))
