"""The real `notecast` command as a process, with its streams in the hands of the test."""

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import NamedTuple, Self

from tests.support.waiting import eventually

_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("NOTECAST_")},
    "TERM": "xterm-256color",
    "TZ": "UTC",
    "PROMPT_TOOLKIT_NO_CPR": "1",  # nobody answers where the cursor is
}


class Outcome(NamedTuple):
    """What a finished command left behind."""

    code: int
    out: str
    err: str


async def start(*words: str, server: str, stdin: int = DEVNULL, stdout: int = PIPE) -> Process:
    """Starts `notecast` with words, to talk to the server at an address."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "notecast_client", *words),
        env=_ENVIRONMENT | {"NOTECAST_SERVER": server},
        stdin=stdin,
        stdout=stdout,
        stderr=PIPE,
    )


async def finish(process: Process, text: str | bytes | None = None) -> Outcome:
    """Gives the command its standard input, waits for its end, and reads what it wrote."""
    data = text.encode() if isinstance(text, str) else text
    try:
        async with asyncio.timeout(30):
            out, err = await process.communicate(data)
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode is not None
    return Outcome(process.returncode, (out or b"").decode(), err.decode())


async def notecast(*words: str, server: str, text: str | bytes | None = None) -> Outcome:
    """Runs `notecast` to its end."""
    process = await start(*words, server=server, stdin=DEVNULL if text is None else PIPE)
    return await finish(process, text)


class Terminal:
    """`notecast` at a terminal of its own: what it shows, and what is typed.

    Args:
        words: of the command line.
        server: the address to talk to.
    """

    def __init__(self, *words: str, server: str) -> None:
        self._words = words
        self._server = server
        self.screen = ""
        """All that was ever written to the terminal, escape sequences and all."""

    async def __aenter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "notecast_client", *self._words),
            env=_ENVIRONMENT | {"NOTECAST_SERVER": self._server},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        self._theirs = theirs
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        os.close(self._theirs)
        os.close(self._ours)

    def type(self, keys: str) -> None:
        """Presses keys: a carriage return is Enter, U+0003 Ctrl-C, U+0004 Ctrl-D."""
        os.write(self._ours, keys.encode())

    async def shows(self, text: str) -> None:
        """Returns once a text was written to the terminal."""
        try:
            await eventually(lambda: text in self.screen, f"{text!r} on the screen")
        except AssertionError as error:
            error.add_note(f"screen: {self.screen!r}")
            raise

    def echoes(self) -> bool:
        """Whether the terminal is as a shell left it: it shows what is typed by itself."""
        return bool(termios.tcgetattr(self._theirs)[3] & termios.ECHO)

    async def ends(self) -> int:
        """Waits for the command to end; returns its exit code."""
        async with asyncio.timeout(30):
            return await self.process.wait()

    def _read(self) -> None:
        self.screen += os.read(self._ours, 65536).decode(errors="replace")
