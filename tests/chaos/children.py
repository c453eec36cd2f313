"""Processes that a run starts: on a leash, so that none outlives it, and out of Ctrl-C's reach."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from notecast_local import leash

_STOP_SECONDS = 5.0
_LAST_LINES = 8
_ROOT = Path(__file__).parents[2]


class Child:
    """A process, running. `Child.start` makes it."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.log = log
        self.process = process

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        piped: bool = False,
    ) -> Self:
        """Starts a command in the folder of the project.

        Args:
            name: for people.
            command: an absolute path, and the arguments.
            log: what it says is added to this file.
            environment: beside this process's own, of which nothing of Notecast's is kept.
            piped: whether its standard input and output are to be used.
        """
        kept = {name: v for name, v in os.environ.items() if not name.startswith("NOTECAST_")}
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", leash.__file__, str(os.getpid())),
                *command,
                cwd=_ROOT,
                stdin=PIPE if piped else DEVNULL,
                stdout=PIPE if piped else output,
                stderr=output,
                env=kept | dict(environment or {}),
                start_new_session=True,
            )
        return cls(name, process, log)

    def last_words(self) -> str:
        """The end of what it has said."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:])

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    def pause(self) -> None:
        """Stops it in its tracks; its connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """Ends it without a word, and returns when it is gone."""
        self._signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """Asks it to end, and ends it where it does not."""
        self.resume()
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            await self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
