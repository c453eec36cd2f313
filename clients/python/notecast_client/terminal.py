"""Runs a command: its output, its errors in one line, and its exit code."""

import asyncio
import contextlib
import fcntl
import os
import signal
import stat
import sys
from collections.abc import Callable, Coroutine, Iterator

from rich.console import Console
from rich.text import Text

from notecast_client.errors import (
    ClientError,
    NotConnectedError,
    RequestRefusedError,
    ServerUnavailableError,
)
from notecast_client.rendering import neutralise
from notecast_client.standard_streams import drop

OK = 0
REFUSED = 1
UNAVAILABLE = 69
"""EX_UNAVAILABLE of sysexits.h."""

INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM


class CommandError(Exception):
    """The command failed; reported in one line, with an exit code."""

    def __init__(self, message: str, exit_code: int = REFUSED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Output(Console):
    """Standard output: colours only on a terminal, lines never wrapped.

    A reader that went away (`| head`) is an error like any other; Console would exit with 1. Make
    it before doing anything that it must report.

    Raises:
        CommandError: standard output is closed.
    """

    def __init__(self) -> None:
        if fcntl.fcntl(sys.stdout.fileno(), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise CommandError("standard output is closed; give it to >/dev/null to print nothing")
        super().__init__()

    def on_broken_pipe(self) -> None:
        """Called by Console if a write fails like that."""
        raise BrokenPipeError

    def write_line(self, text: Text | str) -> None:
        """Writes one line at once. Without markup: a note's text is only text."""
        self.print(text, soft_wrap=True, markup=False, highlight=False, emoji=False)


def say(words: str) -> None:
    """Prints a message on standard error."""
    try:
        print(f"notecast: {words}", file=sys.stderr, flush=True)
    except OSError:  # it has no reader, or no room
        drop(sys.stderr.fileno())


def run(command: Coroutine[None, None, int]) -> int:
    """Runs a command to its end; returns its exit code, and reports failures."""
    try:
        return asyncio.run(_until_terminated(command))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        drop(sys.stdout.fileno())
        return OK
    except (CommandError, ClientError, OSError) as error:
        words, exit_code = outcome(error)
        say(words)
        if isinstance(error, OSError):
            drop(sys.stdout.fileno())
        return exit_code


def outcome(error: CommandError | ClientError | OSError) -> tuple[str, int]:
    """Returns the message and the exit code of a failure."""
    match error:
        case CommandError():
            return str(error), error.exit_code
        case ServerUnavailableError():
            return describe(error), UNAVAILABLE
        case ClientError():
            return describe(error), REFUSED
        case OSError():
            return f"can't read or write: {error.strerror or error}", REFUSED


def describe(error: ClientError) -> str:
    """Describes an error in one line, with what to do about it."""
    words = neutralise(str(error))
    if isinstance(error, NotConnectedError):
        return f"{words} (is it running? try `make run`, or name another with --server)"
    if isinstance(error, RequestRefusedError):
        faults = "; ".join(f"{each.field} {each.fault}" for each in error.violations)
        return f"refused: {neutralise(faults) or words}"
    if isinstance(error, ServerUnavailableError):
        wait = error.retry_after_seconds
        return f"{words}; try again" + (f" in {wait:g} s" if wait else "")
    return f"the server failed: {words}"


async def _until_terminated(command: Coroutine[None, None, int]) -> int:
    """Ends the command on SIGTERM like on Ctrl-C: closes connections, restores the terminal.

    Also if the reader of standard output goes away while there is nothing to write.
    """
    task = asyncio.create_task(command)
    ended_by: list[int] = []

    def end(exit_code: int) -> None:
        ended_by.append(exit_code)
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end, TERMINATED)
    with _watching_reader(lambda: end(OK)):
        try:
            return await task
        except asyncio.CancelledError:
            if not ended_by:
                raise
            return ended_by[0]


@contextlib.contextmanager
def _watching_reader(gone: Callable[[], None]) -> Iterator[None]:
    """Calls `gone` when standard output is a pipe whose reader went away.

    The writing end of a pipe is never readable, so polling it can only report that.
    """
    descriptor = sys.stdout.fileno()
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, gone)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
