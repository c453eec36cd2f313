"""A cluster: found by KUBECONFIG, or started by the tool that was named."""

import json
import shutil
from collections.abc import Sequence
from typing import Any

from tests.e2e.kubernetes.commands import CommandError, run
from tests.e2e.kubernetes.settings import RunSettings

# The tool may have to build what it starts.
_START_SECONDS = 1_800
_LOAD_SECONDS = 300
_DOWN_SECONDS = 120
_ANSWER_SECONDS = 60
_MARGIN_SECONDS = 10


class Cluster:
    """A cluster that answers. `Cluster.start` makes it."""

    def __init__(self, kubectl: Sequence[str], kubeconfig: str, settings: RunSettings) -> None:
        self._kubectl = tuple(kubectl)
        self._settings = settings
        self.environment = {"KUBECONFIG": kubeconfig}
        """What kubectl needs to find it."""

    @classmethod
    async def start(cls, settings: RunSettings) -> "Cluster":
        """Returns when the cluster answers.

        Raises:
            CommandError: there is none, and none can be started.
        """
        tool = settings.cluster_tool
        if settings.kubeconfig is not None:
            kubeconfig = str(settings.kubeconfig.resolve())
        elif tool is not None:
            printed = await run(str(tool.resolve()), seconds=_START_SECONDS, told=True)
            kubeconfig = printed.split()[-1]
        else:
            raise CommandError(
                "there is no cluster: set KUBECONFIG, or CLUSTER_TOOL to a program that starts one"
            )
        cluster = cls(_find_kubectl(settings), kubeconfig, settings)
        await cluster.kubectl("get", "--raw", "/readyz")
        return cluster

    @property
    def is_ours(self) -> bool:
        """Whether the tool started it, so that it may end it."""
        return self._settings.kubeconfig is None

    def command(self, *words: str) -> tuple[str, ...]:
        """A command line of kubectl."""
        return (*self._kubectl, *words)

    async def kubectl(
        self, *words: str, seconds: float = _ANSWER_SECONDS, text: str | None = None
    ) -> str:
        """Runs kubectl; returns what it printed.

        Args:
            words: its arguments.
            seconds: how long it may take.
            text: its standard input.

        Raises:
            CommandError: it failed, or took too long.
        """
        limit = seconds + _MARGIN_SECONDS
        command = self.command(*words)
        return await run(*command, seconds=limit, environment=self.environment, text=text)

    async def get(self, *words: str) -> Any:  # noqa: ANN401 - JSON
        """What `kubectl get` says, as JSON."""
        return json.loads(await self.kubectl("get", *words, "--output=json"))

    async def load(self, images: Sequence[str]) -> str:
        """Hands images to the cluster; returns how."""
        if not self.is_ours and not self._settings.cluster_load:
            return "nothing to do: CLUSTER_LOAD is not set"
        command = self._settings.cluster_load
        if self.is_ours:
            command = (self._tool, "load")
        await run(*command, *images, seconds=_LOAD_SECONDS)
        return " ".join(command)

    async def end(self) -> None:
        """Ends it; it must be ours."""
        await run(self._tool, "down", seconds=_DOWN_SECONDS)

    @property
    def _tool(self) -> str:
        assert self._settings.cluster_tool is not None
        return str(self._settings.cluster_tool.resolve())


def _find_kubectl(settings: RunSettings) -> Sequence[str]:
    if kubectl := shutil.which("kubectl"):
        return (kubectl,)
    if settings.kubeconfig is None and settings.cluster_tool is not None:
        return (str(settings.cluster_tool.resolve()), "kubectl")
    raise CommandError("there is no kubectl on the path")
