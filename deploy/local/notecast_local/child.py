"""One child process: started on a leash, its output in a log, ended in two steps."""

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
        name: names the child to people, and its log.
        command: an absolute path, and the arguments.
        environment: the whole of it.
        is_ready: says whether the child does its work; comes back within seconds.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    is_ready: Callable[[], Awaitable[bool]]


class Child:
    """A started program. `Child.start` makes it.

    Attributes:
        exited: done when the process has ended; gives its status as subprocess has it.
    """

    def __init__(self, program: Program, process: asyncio.subprocess.Process, log: Path) -> None:
        self.program = program
        self.log = log
        self._process = process
        self.exited = asyncio.create_task(process.wait(), name=f"{program.name} exited")

    @classmethod
    async def start(cls, program: Program, logs: Path) -> Self:
        """Starts a program, out of the terminal's reach: Ctrl-C is the supervisor's alone.

        Args:
            program: what to run.
            logs: the folder of the log, which begins anew.
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
        """Ends the child, and whatever it has started, at once."""
        self._signal(signal.SIGKILL)

    def last_lines(self) -> list[str]:
        """The end of its log: a few lines, the oldest first."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_BYTES))
            text = log.read().decode(errors="replace")
        return list(deque(text.splitlines(), maxlen=_LAST_LINES))

    def _signal(self, number: signal.Signals) -> None:
        # The child leads a process group of its own; while it is not reaped, the number is its.
        if not self.exited.done():
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
