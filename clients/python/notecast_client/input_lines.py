"""Standard input, line by line, without standing in the way of what else goes on."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator

_CHUNK_BYTES = 64 * 1024


async def input_lines(descriptor: int, longest: int) -> AsyncIterator[str]:
    """The lines of a file, a pipe or a terminal, without their line breaks.

    A thread reads: asyncio itself can't read from files, and would switch a pipe that is
    shared with other processes to non-blocking. It may stay in a read that never returns, and so
    is one that Python does not wait for at its end; and it reads past `sys.stdin`, whose
    lock Python wants then.

    Args:
        descriptor: what to read, as 0.
        longest: the most bytes that a line may have.

    Raises:
        ValueError: a line is longer, or not valid UTF-8.
    """
    chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read, args=(descriptor, loop, chunks), daemon=True).start()
    rest = b""
    while chunk := await chunks.get():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _decoded(line, longest)
        if len(rest) > longest:
            break
    if rest:
        yield _decoded(rest, longest)


def _decoded(line: bytes, longest: int) -> str:
    if len(line) > longest:
        raise ValueError(f"a line is longer than {longest} bytes")
    try:
        return line.decode().removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError("a line is not valid UTF-8") from None


def _read(descriptor: int, loop: asyncio.AbstractEventLoop, chunks: asyncio.Queue[bytes]) -> None:
    """Puts each chunk, and an empty one at the end; waits until there is room for it."""
    chunk = b"begin"
    while chunk:
        try:
            chunk = os.read(descriptor, _CHUNK_BYTES)
        except OSError:
            chunk = b""
        put = chunks.put(chunk)
        try:
            asyncio.run_coroutine_threadsafe(put, loop).result()
        except RuntimeError:  # the loop has closed: nobody wants to know any more
            put.close()
            return
