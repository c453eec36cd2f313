"""Runs one child process: on a leash, with its output in a log, ended in two steps."""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from notecast_local import leash

_LAST_LINES = 12
_LAST_BYTES = 16_384


@dataclass(frozen=True)
class Program:
    """A program to run.

    Attributes:
        name: the name of the child and of its log.
        command: an absolute path, and the arguments.
        environment: its complete environment.
        is_ready: tells whether the child is ready; returns within seconds.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    is_ready: Callable[[], Awaitable[bool]]


class Child:
    """A started program; made by `Child.start`.

    Attributes:
        exited: done when the process has ended; its result is the status, as in subprocess.
    """

    def __init__(self, program: Program, process: asyncio.subprocess.Process, log: Path) -> None:
        self.program = program
        self.log = log
        self._process = process
        self.exited = asyncio.create_task(process.wait(), name=f"{program.name} exited")

    @classmethod
    async def start(cls, program: Program, logs: Path) -> Self:
        """Starts a program in a session of its own: only the supervisor gets Ctrl-C.

        Args:
            program: the program to run.
            logs: the folder of its log, which is overwritten.
        """
        log = logs / f"{program.name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", leash.__file__, str(os.getpid())),
                *program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=program.environment,
                start_new_session=True,
            )
        return cls(program, process, log)

    @property
    def pid(self) -> int:
        """Its process id: the leash becomes the program."""
        return self._process.pid

    def terminate(self) -> None:
        """Asks the child to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills the child, and the processes that it has started."""
        self._signal(signal.SIGKILL)

    def last_lines(self) -> list[str]:
        """The end of its log: a few lines, the oldest first."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_BYTES))
            text = log.read().decode(errors="replace")
        return list(deque(text.splitlines(), maxlen=_LAST_LINES))

    def _signal(self, number: signal.Signals) -> None:
        # The child leads its own process group. Until it is reaped, the number can't be reused.
        if not self.exited.done():
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
