"""The programs of the local stack without their supervisor: each may be missing, and come back."""

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from notecast_local.child import Child, Program
from notecast_local.envoy import CONFIGURATION, render
from notecast_local.folder import data_folder
from notecast_local.ports import StackPorts
from notecast_local.settings import HOST
from notecast_local.stack import stages_of
from tests.support.shipped_envoy import GatewaySeen, gateways_seen
from tests.support.waiting import eventually

_READY_SECONDS = 30.0


class LocalPrograms:
    """Starts and ends the programs. `LocalPrograms.running` makes it.

    Attributes:
        children: those that were started last, by name.
    """

    def __init__(self, folder: Path, ports: StackPorts, programs: Mapping[str, Program]) -> None:
        self.children: dict[str, Child] = {}
        self._folder = folder
        self._ports = ports
        self._programs = programs

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        folder: Path,
        ports: StackPorts,
        without: Collection[str] = (),
        **environment: str,
    ) -> AsyncIterator[Self]:
        """All programs, ready, but for those that are named in `without`."""
        stages = stages_of(ports, folder, os.environ | environment)
        programs = {program.name: program for stage in stages for program in stage}
        with data_folder(folder):
            (folder / "envoy.yaml").write_text(render(CONFIGURATION.read_text(), ports))
            running = cls(folder, ports, programs)
            try:
                for stage in stages:
                    names = [program.name for program in stage if program.name not in without]
                    await asyncio.gather(*(running.start(name) for name in names))
                yield running
            finally:
                for child in running.children.values():
                    child.kill()
                    await child.exited

    @property
    def gateways(self) -> list[str]:
        """The names of all gateways, in the order of their ports."""
        return [f"chat-gateway-{number}" for number, _ in enumerate(self._ports.gateways, start=1)]

    async def start(self, name: str) -> None:
        """Starts a program, again where it has ended; returns when it is ready."""
        program = self._programs[name]
        self.children[name] = await Child.start(program, self._folder / "log")
        await eventually(program.is_ready, f"{name} is ready", _READY_SECONDS)

    async def upstreams(self) -> dict[str, GatewaySeen]:
        """The gateways by name, as Envoy sees them now."""
        seen = await gateways_seen(self._ports.envoy_admin)
        names = zip(self.gateways, self._ports.gateways, strict=True)
        return {name: seen[f"{HOST}:{port}"] for name, port in names}
