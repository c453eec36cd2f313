"""The system under test, as real processes: Valkey, history, gateways, and proxies between."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from notecast_client.cursors import Position
from tests.chaos.children import Child
from tests.chaos.folder import RunFolder
from tests.chaos.plan import Plan
from tests.chaos.ports import lasting_ports
from tests.chaos.proxy import Proxy
from tests.chaos.redis_pair import RedisPair
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
        redis: the servers of what services take for one Redis.
        links: by the name of a process, the proxy between it and Redis.
        readers_doors: by a gateway's name, the proxy between reading clients and it.
        writers_doors: the same for writers.
    """

    def __init__(self, plan: Plan, folder: RunFolder) -> None:
        self._plan = plan
        self._folder = folder
        names = plan.history_names + plan.gateway_names
        first, second, *ports = lasting_ports(2 + len(names))
        self._ports = dict(zip(names, ports, strict=True))
        self._children: dict[str, Child] = {}
        self.redis = RedisPair((first, second), folder)
        self.links = {name: Proxy(first) for name in names}
        self.readers_doors = {name: Proxy(self._ports[name]) for name in plan.gateway_names}
        self.writers_doors = {name: Proxy(self._ports[name]) for name in plan.gateway_names}

    async def start(self) -> None:
        """Returns when everything is ready."""
        for proxy in self._proxies():
            await proxy.start()
        await self.redis.start()
        for names in (self._plan.history_names, self._plan.gateway_names):
            await asyncio.gather(*(self.start_service(name) for name in names))
            for name in names:
                await wait_until_serving(self._target(name), seconds=_READY_SECONDS)

    async def stop(self) -> None:
        """Leaves nothing behind, whatever was reached of the start."""
        await asyncio.gather(*(child.stop() for child in self._children.values()))
        for proxy in self._proxies():
            proxy.stop()
        await self.redis.stop()

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

    def shut_links(self) -> None:
        """Ends all connections to Redis, and refuses new ones."""
        for link in self.links.values():
            link.refuse(on=True)
            link.cut()

    def lead_to_primary(self) -> None:
        """New connections to Redis are taken, and lead to the primary; those of now stay."""
        for link in self.links.values():
            link.lead_to(self.redis.primary.port)
            link.refuse(on=False)

    async def kill_subscriptions(self) -> int:
        """Makes Redis end all Pub/Sub connections; returns how many there were."""
        killed: Any = await self.redis.primary.redis.client_kill_filter(_type="pubsub")
        return int(killed)

    async def head(self, room: str) -> Position:
        """Where the room's log ends, by Redis itself."""
        return await head_of(self.redis.primary.redis, room)

    @property
    def services(self) -> Sequence[str]:
        """The names of all gateways and history replicas."""
        return tuple(self.links)

    async def is_ready(self, name: str) -> bool:
        """Whether a service says that it can do all that it is there for."""
        return await health_of(self._target(name)) == "SERVING"

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
