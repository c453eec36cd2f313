"""Ways from this machine to the Envoys: `kubectl port-forward`, begun anew whenever one ends.

It works with every cluster, whatever its network. Each door leads to one Envoy, and to another
one when that is gone, as a load balancer would; clients come back by themselves.
"""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.chaos.children import Child
from tests.chaos.ports import lasting_ports
from tests.e2e.kubernetes.cluster import Cluster
from tests.e2e.kubernetes.commands import CommandError
from tests.e2e.kubernetes.installation import NAMESPACE, Installation, is_ending

_CLIENTS_PORT = 8080
_LOOK_SECONDS = 1.0
_AGAIN_SECONDS = 0.2


class Doors:
    """Open from entering to leaving.

    Args:
        cluster: where.
        installation: whose Envoys they lead to.
        count: how many doors.
        logs: the folder for what the forwards say.
    """

    def __init__(
        self, cluster: Cluster, installation: Installation, count: int, logs: Path
    ) -> None:
        self._cluster = cluster
        self._logs = logs
        self._installation = installation
        self.ports: Mapping[str, int] = {
            f"door-{number}": port for number, port in enumerate(lasting_ports(count), start=1)
        }
        """By the doors' names; on 127.0.0.1."""
        self._pods: list[str] = []
        self._ending: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._look())]
        self._tasks += [
            asyncio.create_task(self._keep_open(number, name, port))
            for number, (name, port) in enumerate(self.ports.items())
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        ended = [task for task in self._tasks if task.done()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for task in ended:  # none ends by itself, but with an error
            task.result()

    async def _look(self) -> None:
        """Knows which Envoys there are."""
        while True:
            with suppress(CommandError):
                pods = await self._installation.pods("envoy", ending=True)
                running = [pod for pod in pods if pod["status"]["phase"] == "Running"]
                self._pods = _names(pod for pod in running if not is_ending(pod))
                self._ending = _names(pod for pod in running if is_ending(pod))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _keep_open(self, number: int, name: str, port: int) -> None:
        while True:
            if not self._pods:
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            pod = self._pods[number % len(self._pods)]
            forward = await self._forward(name, port, pod)
            try:
                await self._until_over(forward, pod)
            finally:
                await forward.kill()
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _forward(self, name: str, port: int, pod: str) -> Child:
        command = self._cluster.command(
            *("--namespace", NAMESPACE, "port-forward", "--address=127.0.0.1"),
            *(f"pod/{pod}", f"{port}:{_CLIENTS_PORT}"),
        )
        log = self._logs / f"{name}.log"
        return await Child.start(name, command, log, environment=self._cluster.environment)

    async def _until_over(self, forward: Child, pod: str) -> None:
        """Returns when kubectl has ended, or the pod has; one that drains keeps its connections."""
        while forward.running and pod in (*self._pods, *self._ending):
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await forward.process.wait()


def _names(pods: Iterable[Any]) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in pods)
