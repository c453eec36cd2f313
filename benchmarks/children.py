"""Child processes: started side by side, waited for, and ended, whatever happens."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from benchmarks.errors import ServerError
from notecast_local.child import Child, Program
from notecast_local.settings import HOST

_READY_SECONDS = 30.0
_READY_INTERVAL_SECONDS = 0.05
_END_SECONDS = 5.0


@asynccontextmanager
async def running(programs: Sequence[Program], logs: Path) -> AsyncIterator[list[Child]]:
    """Programs, ready; ended on leaving, by force where they do not end soon.

    They also end when this process is killed (`notecast_local.leash`).

    Args:
        programs: what to run; none needs another to be ready before it starts.
        logs: the folder of their logs.

    Raises:
        ServerError: one ended, or was not ready in time.
    """
    children: list[Child] = []
    try:
        for program in programs:
            # At once: what was started is to be ended.
            children.append(await Child.start(program, logs))  # noqa: PERF401
        for child in children:
            await _until_ready(child)
        yield children
    finally:
        await _end(children)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


async def _until_ready(child: Child) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not await child.program.is_ready():
        if child.exited.done():
            fault = f"ended with status {child.exited.result()}"
            raise ServerError(child.program.name, fault, child.last_lines())
        if time.monotonic() > deadline:
            fault = f"was not ready within {_READY_SECONDS:g} s"
            raise ServerError(child.program.name, fault, child.last_lines())
        await asyncio.sleep(_READY_INTERVAL_SECONDS)


async def _end(children: Sequence[Child]) -> None:
    try:
        for child in children:
            child.terminate()
        if children:
            await asyncio.wait([child.exited for child in children], timeout=_END_SECONDS)
    finally:
        for child in children:
            child.kill()
            await child.exited
