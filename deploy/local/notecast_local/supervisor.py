"""Starts children stage by stage, watches them, and stops them in reverse order."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

from notecast_local.child import Child, Program
from notecast_local.errors import ChildDiedError, ChildNotReadyError

_READY_INTERVAL_SECONDS = 0.1

Stage = Sequence[Program]
"""Programs that start and stop together."""


class Reporter(Protocol):
    """A listener for the progress."""

    def starting(self, names: Sequence[str]) -> None:
        """Called when a stage was started and is not ready yet."""

    def ready(self, names: Sequence[str], seconds: float) -> None:
        """Called when the stage is ready, this many seconds after its start."""

    def stopping(self) -> None:
        """Called when everything is about to be stopped."""

    def killed(self, name: str) -> None:
        """Called when a child had to be killed."""


class StopRequests:
    """The user's requests: to stop, and then not to wait."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def request(self, *, impatient: bool) -> None:
        """Requests a stop; an impatient request after the first one stops at once."""
        if self.stop.is_set() and impatient:
            self.hurry.set()
        self.stop.set()


class Supervisor:
    """Runs one stack, once.

    Args:
        logs: the folder of the children's logs.
        requests: ends the run.
        reporter: told of the progress.
        ready_seconds: how long a child may take to be ready.
        stop_seconds: how long a child may take to end; then it is killed.
    """

    def __init__(
        self,
        logs: Path,
        requests: StopRequests,
        reporter: Reporter,
        *,
        ready_seconds: float = 60.0,
        stop_seconds: float = 5.0,
    ) -> None:
        self._logs = logs
        self._requests = requests
        self._reporter = reporter
        self._ready_seconds = ready_seconds
        self._stop_seconds = stop_seconds
        self._stages: list[list[Child]] = []

    async def run(self, stages: Sequence[Stage], on_ready: Callable[[], None]) -> None:
        """Starts the stages, each when the one before is ready, and runs until asked to stop.

        No child is left when it returns or raises.

        Raises:
            ChildDiedError: a child ended by itself.
            ChildNotReadyError: a child was not ready in time.
        """
        asked = asyncio.create_task(self._requests.stop.wait())
        serving = asyncio.create_task(self._serve(stages, on_ready))
        try:
            await asyncio.wait({asked, serving}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        finally:
            await _cancel(serving, asked)
            await self._stop_all()

    async def _serve(self, stages: Sequence[Stage], on_ready: Callable[[], None]) -> None:
        for stage in stages:
            await self._start(stage)
        on_ready()
        await self._unless_one_dies(asyncio.Event().wait())

    async def _start(self, stage: Stage) -> None:
        names = [program.name for program in stage]
        began = time.monotonic()
        self._reporter.starting(names)
        children: list[Child] = []
        self._stages.append(children)
        for program in stage:
            child = await Child.start(program, self._logs)
            children.append(child)  # at once: every started child must be stopped
        await self._unless_one_dies(_all_ready(children, self._ready_seconds))
        self._reporter.ready(names, time.monotonic() - began)

    async def _unless_one_dies(self, work: Coroutine[Any, Any, object]) -> None:
        children = [child for stage in self._stages for child in stage]
        task = asyncio.create_task(work)
        try:
            await asyncio.wait(
                {task, *(child.exited for child in children)}, return_when=asyncio.FIRST_COMPLETED
            )
            for child in children:
                if child.exited.done():
                    raise ChildDiedError(
                        child.program.name, child.exited.result(), child.log, child.last_lines()
                    )
            task.result()
        finally:
            await _cancel(task)

    async def _stop_all(self) -> None:
        self._reporter.stopping()
        for stage in reversed(self._stages):
            await self._stop(stage)

    async def _stop(self, stage: Sequence[Child]) -> None:
        for child in stage:
            child.terminate()
        gone = asyncio.create_task(_all_gone(stage))
        hurry = asyncio.create_task(self._requests.hurry.wait())
        await asyncio.wait(
            {gone, hurry}, timeout=self._stop_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for child in stage:
            if not child.exited.done():
                child.kill()
                self._reporter.killed(child.program.name)
        await gone
        await _cancel(hurry)


async def _all_ready(children: Sequence[Child], seconds: float) -> None:
    await asyncio.gather(*(_ready(child, seconds) for child in children))


async def _all_gone(children: Sequence[Child]) -> None:
    for child in children:
        await asyncio.wait({child.exited})  # whatever its status


async def _ready(child: Child, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not await child.program.is_ready():
        if time.monotonic() > deadline:
            raise ChildNotReadyError(child.program.name, seconds, child.log, child.last_lines())
        await asyncio.sleep(_READY_INTERVAL_SECONDS)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
