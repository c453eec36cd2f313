"""The system under load: the programs of `make run` without Envoy, with one gateway."""

import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from notecast_local.child import Program
from notecast_local.ports import HOST, StackPorts
from notecast_local.stack import stages_of

_READY_SECONDS = 30.0
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class System:
    """Where the gateway is, and which process it is."""

    target: str
    gateway_pid: int


@asynccontextmanager
async def running_system(folder: Path) -> AsyncIterator[System]:
    """Valkey, history and a gateway, ready; ended on leaving.

    Args:
        folder: empty; for data and logs.
    """
    (folder / "valkey").mkdir()
    clients, tutorial, envoy_admin, valkey, history, gateway = _free_ports(6)
    ports = StackPorts(clients, tutorial, envoy_admin, valkey, history, (gateway,))
    *stages, _ = stages_of(ports, folder, dict(os.environ))
    async with AsyncExitStack() as started:
        process = None
        for (program,) in stages:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own program; once, at the start
                program.command,
                env=program.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            started.callback(_end, process)
            await _until_ready(program)
        assert process is not None  # noqa: S101 - the last stage is the gateway
        yield System(f"{HOST}:{ports.gateways[0]}", process.pid)


async def _until_ready(program: Program) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not await program.is_ready():
        if time.monotonic() > deadline:
            raise SystemExit(f"{program.name} was not ready within {_READY_SECONDS:g} s")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process so far, user and system (proc(5), /proc/pid/stat 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS
