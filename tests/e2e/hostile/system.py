"""What is attacked, as `make run` has it, and what it takes of memory and of the processor."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from grpc import aio

from notecast.v1.chat_pb2 import SendNoteRequest
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from notecast_local.ports import StackPorts, choose_ports
from notecast_local.settings import LocalSettings
from tests.e2e.hostile.attacks import BIG_NOTES, BIG_ROOM
from tests.support.census import processor_seconds, resident_bytes
from tests.support.local_programs import LocalPrograms
from tests.support.ports import free_port
from tests.support.shipped_envoy import ask
from tests.support.waiting import eventually

_HOOK: Final = Path(__file__).parent / "hook"
_REPOSITORY: Final = Path(__file__).parents[3]

_SEEN_BY_ENVOY: Final = {
    "connections": "http.clients.downstream_cx_active",
    "calls": "http.clients.downstream_rq_active",
    "calls to gateways": "cluster.chat-gateway.upstream_rq_active",
}


class System:
    """Valkey, history, two gateways and Envoy. `system` starts them.

    Attributes:
        target: Envoy's, for clients of gRPC.
        port: the same.
    """

    def __init__(self, programs: LocalPrograms, ports: StackPorts, told: Path) -> None:
        self.target = f"127.0.0.1:{ports.clients}"
        self.port = ports.clients
        self._programs = programs
        self._ports = ports
        self._told = told

    async def taken(self) -> dict[str, int]:
        """Memory by part, in bytes: all that the larger gateway takes; what Envoy has in use."""
        resident = max(resident_bytes(pid) for pid in self._gateways())
        return {"gateway": resident, "envoy": await self._allocated_by_envoy()}

    async def held(self) -> dict[str, int]:
        """The same without what a gateway's allocator keeps of freed memory for the next time."""
        told = [self._told / str(pid) for pid in self._gateways()]
        for pid, file in zip(self._gateways(), told, strict=True):
            file.unlink(missing_ok=True)
            os.kill(pid, signal.SIGUSR2)
        await eventually(lambda: all(file.exists() for file in told), "gateways say what they hold")
        in_use = max(int(file.read_text()) for file in told)
        return {"gateway": in_use, "envoy": await self._allocated_by_envoy()}

    def processor_seconds(self) -> float:
        """What all programs together have used so far."""
        return sum(processor_seconds(child.pid) for child in self._programs.children.values())

    async def open_in_envoy(self) -> dict[str, int]:
        """What Envoy has open now."""
        wanted = "|".join(_SEEN_BY_ENVOY.values())
        answer = await ask(
            self._ports.envoy_admin, "GET", f"/stats?format=json&filter=^({wanted})$"
        )
        values = {stat["name"]: stat["value"] for stat in json.loads(answer.body)["stats"]}
        return {words: values[name] for words, name in _SEEN_BY_ENVOY.items()}

    async def fill(self) -> None:
        """Writes the room with large notes."""
        async with aio.insecure_channel(self.target) as channel:
            stub = ChatServiceStub(channel)
            labels = {f"k{number}": "v" * 250 for number in range(16)}
            note = SendNoteRequest(room=BIG_ROOM, author="a", text="x" * 16_000, labels=labels)
            for _ in range(BIG_NOTES // 20):
                await asyncio.gather(*(stub.SendNote(note, timeout=10) for _ in range(20)))

    async def _allocated_by_envoy(self) -> int:
        answer = await ask(self._ports.envoy_admin, "GET", "/memory")
        return int(json.loads(answer.body)["allocated"])

    def _gateways(self) -> list[int]:
        return [self._programs.children[name].pid for name in self._programs.gateways]


@asynccontextmanager
async def system(folder: Path) -> AsyncIterator[System]:
    """All of it, with the room of large notes written."""
    told = folder / "told"
    told.mkdir()
    ports = choose_ports(LocalSettings(port=free_port(), tutorial_port=free_port()))
    # The ports from 50051 on are what another stack that starts now would take, too.
    ports = replace(ports, gateways=tuple(free_port() for _ in ports.gateways))
    environment = {
        "NOTECAST_LOG_LEVEL": "warning",
        "PYTHONPATH": f"{_HOOK}{os.pathsep}{_REPOSITORY}",
        "TOLD_MEMORY_FOLDER": str(told),
    }
    async with LocalPrograms.running(folder / "run", ports, **environment) as programs:
        running = System(programs, ports, told)
        await running.fill()
        yield running
