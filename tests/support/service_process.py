"""A service in a process of its own, whose log a test can read."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from notecast_runtime.settings import variable_of
from tests.support.ports import free_port

_END_SECONDS = 20


class Ending(NamedTuple):
    """What a process left behind."""

    code: int
    log: list[dict[str, Any]]


class ServiceProcess:
    """A running service.

    Attributes:
        target: where it serves, or is to serve.
    """

    def __init__(self, process: Process, target: str) -> None:
        self.target = target
        self._process = process
        self._log: list[dict[str, Any]] = []

    async def logs(self, event: str) -> dict[str, Any]:
        """Waits for the next line of an event; AssertionError where none comes."""
        assert self._process.stderr is not None
        async with asyncio.timeout(_END_SECONDS):
            while line := await self._process.stderr.readline():
                self._log.append(json.loads(line))
                if self._log[-1]["event"] == event:
                    return self._log[-1]
        raise AssertionError(f"no line of {event} before its end")

    async def ends(self) -> Ending:
        """Waits until it has ended by itself; AssertionError where it goes on."""
        async with asyncio.timeout(_END_SECONDS):
            _, err = await self._process.communicate()
        assert self._process.returncode is not None
        self._log += [json.loads(line) for line in err.splitlines()]
        return Ending(self._process.returncode, self._log)

    async def stop(self) -> Ending:
        """Ends it in an orderly way."""
        self._process.terminate()
        return await self.ends()


@asynccontextmanager
async def service_process(
    module: str, redis_url: str, **settings: object
) -> AsyncIterator[ServiceProcess]:
    """Starts `python -m module`, and does not wait; killed on leaving if it still lives."""
    port = free_port()
    chosen = {"redis_url": redis_url, "listen_host": "127.0.0.1", "listen_port": port} | settings
    environment = {variable_of(name): str(value) for name, value in chosen.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module),
        env=os.environ | environment,
        stdin=DEVNULL,
        stderr=PIPE,
    )
    try:
        yield ServiceProcess(process, f"127.0.0.1:{port}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
