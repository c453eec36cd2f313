"""CPU time and memory of processes, as the kernel counts them (Linux)."""

import asyncio
import time
from collections.abc import Iterable

_BUSY_SHARE = 0.2
_LOOK_SECONDS = 0.2
_SCHEDULER_CLOCK = 2


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process so far, to the nanosecond.

    From the clock of the process, whose number is a matter of the kernel's interface
    (clock_getcpuclockid(3)): `~pid << 3 | CPUCLOCK_SCHED`.

    Raises:
        ProcessLookupError: there is no such process.
    """
    try:
        return time.clock_gettime(~pid << 3 | _SCHEDULER_CLOCK)
    except OSError:
        raise ProcessLookupError(f"no process {pid}") from None


async def until_quiet(pids: Iterable[int], timeout_seconds: float) -> None:
    """Waits while processes still see off what they had to do; not for ever."""
    watched = tuple(pids)
    deadline = time.monotonic() + timeout_seconds
    before = _sum(watched)
    while time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_SECONDS)
        now = _sum(watched)
        if now - before < _BUSY_SHARE * _LOOK_SECONDS:
            return
        before = now


def _sum(pids: Iterable[int]) -> float:
    return sum(cpu_seconds(pid) for pid in pids)
