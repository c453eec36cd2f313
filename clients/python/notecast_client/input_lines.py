"""Reads standard input line by line, without blocking the event loop."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from typing import NamedTuple

_CHUNK_BYTES = 64 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class InputLine(NamedTuple):
    """One line, without its line break."""

    number: int
    """From 1."""

    text: str
    """Empty if there is a fault."""

    fault: str = ""
    """Why the line can't be used; empty if it can."""


def decoded(data: bytes) -> str:
    """Decodes UTF-8 text of a file or a pipe, without the byte order mark of some programs.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    return data.removeprefix(_BYTE_ORDER_MARK).decode()


async def input_lines(descriptor: int, longest: int) -> AsyncIterator[InputLine]:
    """Yields the lines of a file, a pipe or a terminal.

    A thread reads: asyncio itself can't read from files, and would switch a pipe that is shared
    with other processes to non-blocking. A read may never return, so it is a thread that Python
    does not wait for at its end. And it bypasses `sys.stdin`, whose lock Python needs then.

    Args:
        descriptor: the file descriptor to read, such as 0.
        longest: bound on a line, in bytes; nothing is kept of a longer one.

    Raises:
        OSError: reading failed.
    """
    chunks: asyncio.Queue[bytes | OSError] = asyncio.Queue(maxsize=1)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read, args=(descriptor, loop, chunks), daemon=True).start()
    lines = _Lines(longest)
    while chunk := await chunks.get():
        if isinstance(chunk, OSError):
            raise chunk
        for line in lines.add(chunk):
            yield line
    for line in lines.end():
        yield line


class _Lines:
    """Splits chunks into lines; holds at most the longest line and a chunk."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = b""
        self._number = 0
        self._is_too_long = False

    def add(self, chunk: bytes) -> list[InputLine]:
        """Adds a chunk; returns the lines that it completes."""
        *ended, self._rest = (self._rest + chunk).split(b"\n")
        lines = [self._line(each) for each in ended]
        if len(self._rest) > self._longest:
            self._is_too_long = True
            self._rest = b""
        return lines

    def end(self) -> list[InputLine]:
        """Returns the last line, if no line break ended it."""
        return [self._line(self._rest)] if self._rest or self._is_too_long else []

    def _line(self, data: bytes) -> InputLine:
        self._number += 1
        was_too_long, self._is_too_long = self._is_too_long, False
        if was_too_long or len(data) > self._longest:
            return InputLine(self._number, "", f"it is longer than {self._longest} bytes")
        try:
            text = decoded(data) if self._number == 1 else data.decode()
        except UnicodeDecodeError:
            return InputLine(self._number, "", "it is not valid UTF-8")
        return InputLine(self._number, text.removesuffix("\r"))


def _read(
    descriptor: int,
    loop: asyncio.AbstractEventLoop,
    chunks: asyncio.Queue[bytes | OSError],
) -> None:
    """Queues each chunk, and at the end an empty one or an error; waits for room."""
    chunk: bytes | OSError = b"begin"
    while chunk and not isinstance(chunk, OSError):
        try:
            chunk = os.read(descriptor, _CHUNK_BYTES)
        except OSError as error:
            chunk = error
        put = chunks.put(chunk)
        try:
            asyncio.run_coroutine_threadsafe(put, loop).result()
        except RuntimeError:  # the loop has closed: the rest is not needed
            put.close()
            return
