"""The overlay `local` in a namespace of its own, and what an operator does with it."""

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from notecast_client.cursors import Position
from notecast_runtime.keyspace import epoch_key, heads_key, partition_of
from tests.e2e.kubernetes.cluster import Cluster
from tests.e2e.kubernetes.commands import ROOT, CommandError
from tests.support.spread import is_even

NAMESPACE = "notecast-e2e"
"""Not that of the overlay, so that a run on a cluster in use harms nothing there."""

DEPLOYMENTS = ("history", "chat-gateway", "envoy")
"""In the order in which a release rolls them: a gateway may need what history has learned."""

_OVERLAY = ROOT / "deploy" / "k8s" / "overlays" / "local"
_LOOK_SECONDS = 1.0
_ROLL_SECONDS = 240
_DELETE_SECONDS = 180
_CLUSTERS = r"GET /clusters HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_ASK_ENVOY = f"exec 3<>/dev/tcp/127.0.0.1/9901; printf '{_CLUSTERS}' >&3; cat <&3"

_SETTINGS = {"NOTECAST_STREAM_LIFETIME_SECONDS": "20"}
"""What the overlay's gateways are told beside: streams go on to new replicas while one looks on."""

_ACTIVE = re.compile(r"^chat-gateway::([\d.:]+)::rq_active::(\d+)$", re.MULTILINE)


class Installation:
    """What runs in the namespace.

    Args:
        cluster: where.
        folder: for the kustomization that puts the overlay into the namespace.
    """

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder

    async def apply(self) -> str:
        """Installs it, and returns when all is ready; returns what there is."""
        await self.remove()
        self._folder.mkdir(parents=True, exist_ok=True)
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": NAMESPACE,
            "resources": [_relative(_OVERLAY, self._folder)],
            "patches": [{"patch": yaml.safe_dump(_told("chat-gateway", _SETTINGS))}],
        }
        (self._folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        await self._cluster.kubectl("apply", "--kustomize", str(self._folder))
        await self.rolled_out("statefulset/redis")
        for name in DEPLOYMENTS:
            await self.rolled_out(f"deployment/{name}")
        counts = Counter(
            pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in await self.pods()
        )
        return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))

    async def remove(self) -> None:
        """Removes the namespace with all that is in it, if there is one."""
        await self._cluster.kubectl(
            *("delete", "namespace", NAMESPACE, "--ignore-not-found"),
            f"--timeout={_DELETE_SECONDS}s",
            seconds=_DELETE_SECONDS,
        )

    async def scale(self, name: str, replicas: int) -> None:
        """Runs that many replicas of a Deployment; returns when the others are gone."""
        await self.kubectl("scale", f"deployment/{name}", f"--replicas={replicas}")
        await self.rolled_out(f"deployment/{name}")
        await self._until_gone(name)

    async def roll(self, name: str) -> None:
        """Replaces every pod of a Deployment or StatefulSet (`kind/name`), as a release does."""
        await self.kubectl("rollout", "restart", name)
        await self.rolled_out(name)
        await self._until_gone(name.rpartition("/")[2])

    async def rolled_out(self, name: str) -> None:
        """Returns when every replica (of `kind/name`) is the newest, and ready."""
        limit = f"--timeout={_ROLL_SECONDS}s"
        await self.kubectl("rollout", "status", name, limit, seconds=_ROLL_SECONDS)

    async def delete_pod(self, part: str, *, at_once: bool = False) -> str:
        """Deletes one pod of a part, and returns when it is gone.

        Args:
            part: the value of its label.
            at_once: without any grace, as when its node is lost.

        Returns:
            How long that took, in words.
        """
        begin = time.monotonic()
        name = _name((await self.pods(part))[0])
        force = ("--grace-period=0", "--force") if at_once else ()
        await self.kubectl("delete", "pod", name, *force, "--wait", seconds=_DELETE_SECONDS)
        return f"gone in {time.monotonic() - begin:.1f} s"

    async def pods(self, part: str = "", *, ending: bool = False) -> list[Any]:
        """The pods of one part or all; those that are about to end only where that is asked for."""
        selector = (f"--selector=app.kubernetes.io/name={part}",) if part else ()
        found = await self._cluster.get("--namespace", NAMESPACE, "pods", *selector)
        return [pod for pod in found["items"] if ending or not is_ending(pod)]

    async def keep_logs(self, folder: Path) -> None:
        """Writes down what there is, what happened, and what each container said."""
        for name in ("pods", "events"):
            told = await self.kubectl("get", name, "--output=wide", "--sort-by=.metadata.name")
            (folder / f"{name}.txt").write_text(told)
        for pod in await self.pods(ending=True):
            name = _name(pod)
            with suppress(CommandError):
                (folder / f"{name}.log").write_text(await self.kubectl("logs", name))

    async def restarts(self) -> int:
        """How often containers were restarted in place, which nothing that we do should cause."""
        return sum(
            status["restartCount"]
            for pod in await self.pods()
            for status in pod["status"].get("containerStatuses", [])
        )

    async def streams(self) -> list[int]:
        """How many calls each gateway has open, as all Envoys count them together."""
        ready = {f"{pod['status'].get('podIP')}:50051" for pod in await self.pods("chat-gateway")}
        counts = dict.fromkeys(ready, 0)
        for pod in await self.pods("envoy"):
            name = _name(pod)
            told = await self.kubectl("exec", name, "--", "bash", "-c", _ASK_ENVOY)
            for gateway, active in _ACTIVE.findall(told):
                if gateway in counts:
                    counts[gateway] += int(active)
        return sorted(counts.values())

    async def even(self, seconds: float) -> list[int]:
        """Returns when streams are spread evenly over the gateways; how many each has.

        Raises:
            AssertionError: they are not within so many seconds; says how they are.
        """
        deadline = time.monotonic() + seconds
        while not is_even(counts := await self.streams()):
            if time.monotonic() > deadline:
                raise AssertionError(f"streams are not even within {seconds:g} s: {counts}")
            await asyncio.sleep(_LOOK_SECONDS)
        return counts

    async def heads(self, rooms: Sequence[str]) -> dict[str, Position]:
        """Where the rooms' logs end, by Redis itself."""
        asked = "".join(
            f"GET {epoch_key(partition_of(room))}\nHGET {heads_key(partition_of(room))} {room}\n"
            for room in rooms
        )
        told = await self.kubectl("exec", "--stdin", "redis-0", "--", "redis-cli", text=asked)
        numbers = [int(line or 0) for line in told.splitlines()]
        return {
            room: Position(epoch, head)
            for room, epoch, head in zip(rooms, numbers[::2], numbers[1::2], strict=True)
        }

    async def kubectl(self, *words: str, seconds: float = 60, text: str | None = None) -> str:
        """Runs kubectl in the namespace; as Cluster.kubectl."""
        words = ("--namespace", NAMESPACE, *words)
        return await self._cluster.kubectl(*words, seconds=seconds, text=text)

    async def _until_gone(self, part: str) -> None:
        """Returns when none of the pods that were told to end is there any more."""
        ending = [
            f"pod/{_name(pod)}" for pod in await self.pods(part, ending=True) if is_ending(pod)
        ]
        if ending:
            limit = f"--timeout={_DELETE_SECONDS}s"
            await self.kubectl("wait", *ending, "--for=delete", limit, seconds=_DELETE_SECONDS)


def _name(pod: Any) -> str:  # noqa: ANN401 - JSON
    return str(pod["metadata"]["name"])


def is_ending(pod: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether a pod was told to end."""
    return "deletionTimestamp" in pod["metadata"]


def _told(part: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """A patch that gives the container of a Deployment these variables beside its own."""
    variables = [{"name": name, "value": value} for name, value in settings.items()]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": part},
        "spec": {"template": {"spec": {"containers": [{"name": part, "env": variables}]}}},
    }


def _relative(path: Path, start: Path) -> str:
    """A kustomization names folders from its own."""
    return os.path.relpath(path, start)
