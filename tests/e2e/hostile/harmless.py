"""Takes the processor's time and does nothing with it: what an attack is compared with.

python -m tests.e2e.hostile.harmless SHARE SECONDS
"""

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PERIOD_SECONDS = 0.004
_PROCESSES = 2


@asynccontextmanager
async def harmless_load(share: float, seconds: float) -> AsyncIterator[None]:
    """Such a load, for as long as the block lasts.

    Args:
        share: of one processor's time; up to 2, in two processes.
        seconds: the most that it lasts.
    """
    words = (f"{min(share / _PROCESSES, 1.0):.3f}", f"{seconds:.1f}")
    running: list[Process] = []
    try:
        for _ in range(_PROCESSES):
            command = (sys.executable, "-m", "tests.e2e.hostile.harmless", *words)
            running.append(await asyncio.create_subprocess_exec(*command))
        yield
    finally:
        for process in running:
            if process.returncode is None:
                process.kill()
            await process.wait()


def main(share: str, seconds: str) -> None:
    """The command."""
    deadline = time.monotonic() + float(seconds)
    wanted = float(share) * _PERIOD_SECONDS
    while (begun := time.monotonic()) < deadline:
        used = time.thread_time()
        while time.thread_time() - used < wanted:
            pass
        time.sleep(max(0.0, begun + _PERIOD_SECONDS - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
