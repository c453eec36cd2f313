"""One client does its worst, and forty others notice nothing.

All is as `make run` has it, with a real Envoy in between. The hostile client comes from the others'
own address, where only its connection tells it from them, and then with many connections from an
address of its own.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from grpc import aio

from notecast.v1.chat_pb2 import SendNoteRequest
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from notecast_local.ports import StackPorts, choose_ports
from notecast_local.settings import LocalSettings
from tests.e2e.hostile.attacks import ATTACKS, BIG_NOTES, BIG_ROOM
from tests.e2e.hostile.neighbours import Delays, Neighbours
from tests.support.census import resident_bytes
from tests.support.local_programs import LocalPrograms
from tests.support.ports import free_port
from tests.support.shipped_envoy import ask
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

OWN_ADDRESS = "127.0.0.66"
SOURCES = {"127.0.0.1": 1, OWN_ADDRESS: 200}
"""With how many connections. Two can hold all that one address may: the others' share, too."""
ATTACK_SECONDS = 5.0
"""From each source."""
CALM_SECONDS = 3.0
LEAST_P99_SECONDS = 0.3
"""Below this a delay says nothing: two cores run two gateways, Envoy, history, Valkey, 40 clients
and their attacker, and to wait for the processor behind each of them once takes so long."""
P99_FACTOR = 2.0
TRIES = 3
"""Whatever else the machine does makes a delay now and then, and an attack each time."""

MAX_PEAK_BYTES = {"gateway": 150 * 2**20, "envoy": 400 * 2**20}
"""While it lasts. Envoy refuses everybody at 730 MiB."""
MAX_LEFT_BYTES = {"gateway": 72 * 2**20, "envoy": 48 * 2**20}
"""Afterwards: what allocators and tables keep for the next time."""
RETURN_SECONDS = 20.0


class System:
    """What runs, and how much memory each part holds."""

    def __init__(self, programs: LocalPrograms, ports: StackPorts) -> None:
        self.target = f"127.0.0.1:{ports.clients}"
        self.port = ports.clients
        self._programs = programs
        self._ports = ports

    async def memory(self) -> dict[str, int]:
        """By part, in bytes: the larger gateway's, and what Envoy has allocated."""
        pids = [self._programs.children[name].pid for name in self._programs.gateways]
        answer = await ask(self._ports.envoy_admin, "GET", "/memory")
        return {
            "gateway": max(resident_bytes(pid) for pid in pids),
            "envoy": int(json.loads(answer.body)["allocated"]),
        }

    async def fill(self) -> None:
        """Writes the room with large notes."""
        async with aio.insecure_channel(self.target) as channel:
            stub = ChatServiceStub(channel)
            labels = {f"k{number}": "v" * 250 for number in range(16)}
            note = SendNoteRequest(room=BIG_ROOM, author="a", text="x" * 16_000, labels=labels)
            for _ in range(BIG_NOTES // 20):
                await asyncio.gather(*(stub.SendNote(note, timeout=10) for _ in range(20)))


@asynccontextmanager
async def system(folder: Path) -> AsyncIterator[System]:
    """Valkey, history, two gateways and Envoy."""
    ports = choose_ports(LocalSettings(port=free_port(), tutorial_port=free_port()))
    async with LocalPrograms.running(folder / "run", ports, NOTECAST_LOG_LEVEL="warning") as it:
        running = System(it, ports)
        await running.fill()
        yield running


async def attacked(name: str, running: System, source: str) -> Mapping[str, Any]:
    """Has the attack made; gives what the attacker says."""
    arguments = (name, str(running.port), source, str(SOURCES[source]), str(ATTACK_SECONDS))
    attacker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.e2e.hostile.attacker", *arguments), stdout=PIPE
    )
    try:
        async with asyncio.timeout(6 * ATTACK_SECONDS):
            said, _ = await attacker.communicate()
    finally:
        if attacker.returncode is None:
            attacker.kill()
            await attacker.wait()
    assert attacker.returncode == 0
    outcome: Mapping[str, Any] = json.loads(said)
    return outcome


@pytest.mark.parametrize("name", ATTACKS)
async def test_others_notice_nothing(name: str, tmp_path: Path) -> None:
    async with system(tmp_path) as running, Neighbours.gathered(running.target) as others:
        await others.delays_for(1.0)
        before = await running.memory()
        for source in SOURCES:
            for attempt in range(TRIES):
                peak, told, slower = await _besieged(name, running, others, source)
                assert not others.faults, told
                assert all(peak[part] - before[part] < MAX_PEAK_BYTES[part] for part in peak), told
                if not slower:
                    break
                assert attempt + 1 < TRIES, told
        await others.all_delivered()

        async def is_given_back() -> bool:
            now = await running.memory()
            return all(now[part] - before[part] < MAX_LEFT_BYTES[part] for part in now)

        await eventually(is_given_back, f"memory returns after {told}", RETURN_SECONDS)
        assert not others.faults


class Found(NamedTuple):
    """What an attack did.

    Attributes:
        peak: of memory, by part.
        told: all of it, in words.
        slower: whether the others felt it.
    """

    peak: Mapping[str, int]
    told: str
    slower: bool


async def _besieged(name: str, running: System, others: Neighbours, source: str) -> Found:
    before = peak = await running.memory()
    others.take_delays()
    calm = await others.delays_for(CALM_SECONDS)
    attack = asyncio.create_task(attacked(name, running, source))
    while not attack.done():
        await asyncio.wait({attack}, timeout=0.25)
        peak = _larger(peak, await running.memory())
    during = others.take_delays()
    said = f"{name} from {source}: {attack.result()}, {_told(calm, during)}, {_grown(peak, before)}"
    return Found(peak, said, _slower(during, calm))


def _slower(now: Delays, then: Delays) -> bool:
    """Whether the others felt it."""
    return any(
        during > max(LEAST_P99_SECONDS, P99_FACTOR * before)
        for during, before in zip(now.p99, then.p99, strict=True)
    )


def _larger(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {part: max(one[part], other[part]) for part in one}


def _told(calm: Delays, under_attack: Delays) -> str:
    def words(delays: Delays) -> str:
        sends, deliveries = delays.p99
        return f"{sends * 1000:.0f} and {deliveries * 1000:.0f} ms"

    return f"p99 of sends and deliveries {words(calm)} before, {words(under_attack)} during"


def _grown(peak: Mapping[str, int], before: Mapping[str, int]) -> str:
    return ", ".join(f"{part} +{(peak[part] - before[part]) >> 20} MiB" for part in peak)
