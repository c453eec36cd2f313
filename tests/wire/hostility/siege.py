"""Attacks a server while another client goes on calling it, and measures what that costs."""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import quantiles

from grpc import aio

from tests.support import bytes_service
from tests.support.waiting import eventually
from tests.wire.hostility.attacker import Reception
from tests.wire.hostility.victim import Call, Victim

_ATTACK_SECONDS = 40
_CALL_SECONDS = 10
_FORGET_SECONDS = 10
_CALLS_BEFORE = 100
_CALLS_DURING = 20  # or more, as long as the attack lasts
_PAUSE_SECONDS = 0.002

# The other client's own calls cost something, too.
_MAX_CPU_SECONDS = 2.5
_MAX_GROWTH_BYTES = 20 * 1024 * 1024
_MAX_P99_SECONDS = 0.25
_MAX_P99_FACTOR = 5
_TRIES = 3
"""Whatever else the machine does makes a delay now and then, and an attack each time."""


@dataclass(frozen=True)
class Damage:
    """What an attack did.

    Attributes:
        reception: how the attacker was received.
        growth_bytes: how much more memory the server held, at most.
        cpu_seconds: what the server used.
        answered: calls of the other client during the attack.
        p99_before: of that client's calls, in seconds.
        p99_during: the same during the attack.
    """

    reception: Reception
    growth_bytes: int
    cpu_seconds: float
    answered: int
    p99_before: float
    p99_during: float


async def siege(victim: Victim, attack: str) -> Damage:
    """Makes an attack by a process of its own. Every call of the other client is answered.

    Where that client's calls take too long, the attack is made again, `_TRIES` times at most.

    Raises:
        AssertionError: memory or processor time is out of bounds, or the other client's delay is
            each time, or the server keeps something of the attacker's.
    """
    for _ in range(_TRIES):
        damage = await _besiege(victim, attack)
        assert damage.growth_bytes < _MAX_GROWTH_BYTES, damage
        assert damage.cpu_seconds < _MAX_CPU_SECONDS, damage
        if damage.p99_during < _MAX_P99_SECONDS + _MAX_P99_FACTOR * damage.p99_before:
            return damage
    raise AssertionError(f"others wait for long: {damage}")


async def _besiege(victim: Victim, attack: str) -> Damage:
    async with aio.insecure_channel(victim.target) as channel:
        before = [await _call(channel) for _ in range(_CALLS_BEFORE)]
        victim.forget_peak()
        memory, cpu = victim.resident_bytes, victim.cpu_seconds
        async with _calling(channel) as during:
            reception = await _attack(victim, attack)
        await _is_forgotten(victim, channel)
        return Damage(
            reception,
            victim.peak_bytes - memory,
            victim.cpu_seconds - cpu,
            len(during),
            _p99(before),
            _p99(during),
        )


@asynccontextmanager
async def _calling(channel: aio.Channel) -> AsyncIterator[list[float]]:
    """Calls again and again while the block lasts; gives the delays, in seconds."""
    delays: list[float] = []
    over = asyncio.Event()

    async def call() -> None:
        while not over.is_set() or len(delays) < _CALLS_DURING:
            delays.append(await _call(channel))
            await asyncio.sleep(_PAUSE_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(call())
        try:
            yield delays
        finally:
            over.set()


async def _call(channel: aio.Channel) -> float:
    echo: Call = channel.unary_unary(f"/{bytes_service.NAME}/Echo")
    began = time.monotonic()
    assert await echo(b"x", timeout=_CALL_SECONDS) == b"x"
    return time.monotonic() - began


async def _attack(victim: Victim, name: str) -> Reception:
    module = "tests.wire.hostility.attacker"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, name, str(victim.port)), stdout=PIPE
    )
    try:
        async with asyncio.timeout(_ATTACK_SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return Reception(**json.loads(said))


async def _is_forgotten(victim: Victim, channel: aio.Channel) -> None:
    """Waits until the server has only this client's connection, and the call that asks."""

    async def only_this() -> bool:
        census = await victim.census(channel)
        return census["ServerProtocol"] == census["Stream"] == 1

    await eventually(only_this, "the server forgets its attacker", _FORGET_SECONDS)


def _p99(delays: list[float]) -> float:
    return quantiles(delays, n=100, method="inclusive")[98]
