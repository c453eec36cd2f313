"""The real `notecast` command as a process, with its streams in the hands of the test."""

import asyncio
import fcntl
import os
import pty
import shlex
import struct
import sys
import termios
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Self

from tests.support.waiting import eventually

_ENVIRONMENT = {
    **{
        name: value
        for name, value in os.environ.items()
        if not name.startswith("NOTECAST_") and name != "no_grpc_proxy"
    },
    "TERM": "xterm-256color",
    "TZ": "UTC",
    "PROMPT_TOOLKIT_NO_CPR": "1",  # nobody answers where the cursor is
}


class Outcome(NamedTuple):
    """What a finished command left behind."""

    code: int
    out: str
    err: str


async def start(
    *words: str | bytes,
    server: str,
    stdin: int = DEVNULL,
    stdout: int = PIPE,
    stderr: int = PIPE,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Process:
    """Starts `notecast` with words, to talk to the server at an address."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "notecast_client", *words),
        env=_ENVIRONMENT | {"NOTECAST_SERVER": server, **environment},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
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
    return Outcome(process.returncode, *((read or b"").decode() for read in (out, err)))


async def notecast(
    *words: str | bytes, server: str, text: str | bytes | None = None, **environment: str
) -> Outcome:
    """Runs `notecast` to its end."""
    stdin = DEVNULL if text is None else PIPE
    return await finish(
        await start(*words, server=server, stdin=stdin, environment=environment), text
    )


async def in_shell(line: str, server: str) -> Outcome:
    """Runs a line of a shell's language, in which `$notecast` is the command."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", line),
        env=_ENVIRONMENT
        | {"NOTECAST_SERVER": server, "notecast": f"{sys.executable} -m notecast_client"},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    return await finish(process)


class Terminal:
    """`notecast` at a terminal of its own: what it shows, and what is typed.

    Args:
        words: of the command line.
        server: the address to talk to.
        by_shell: have a shell with job control start it there, as a person does.
    """

    def __init__(self, *words: str, server: str, by_shell: bool = False) -> None:
        command = (sys.executable, "-m", "notecast_client", *words)
        self._line = shlex.join(command)
        self._by_shell = by_shell
        self._command = (
            ("bash", "--norc", "--noprofile", "--noediting", "-i") if by_shell else command
        )
        self._server = server
        self.screen = ""
        """All that was ever written to the terminal, escape sequences and all."""

    async def __aenter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            env=_ENVIRONMENT | {"NOTECAST_SERVER": self._server, "PS1": "shell> "},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            # A shell controls jobs where the terminal is its controlling one.
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0) if self._by_shell else None,
        )
        self._theirs = theirs
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        if self._by_shell:
            await self.shows("shell> ")
            self.type(f"{self._line}\n")
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._ours)
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        os.close(self._theirs)
        os.close(self._ours)

    def type(self, keys: str, encoding: str = "utf-8") -> None:
        """Presses keys: a carriage return is Enter, U+0003 Ctrl-C, U+0004 Ctrl-D."""
        os.write(self._ours, keys.encode(encoding))

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
