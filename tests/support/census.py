"""What a process has and takes: objects that are alive, memory, time of the processor."""

import ctypes
import gc
from collections.abc import Iterable
from typing import Any, TypeVar

import psutil

Kind = TypeVar("Kind")


def living(kind: type[Kind]) -> list[Kind]:
    """Every object of exactly this kind that something still refers to."""
    gc.collect()
    return [found for found in gc.get_objects() if type(found) is kind]


def the(kind: type[Kind]) -> Kind:
    """The only object of its kind."""
    (found,) = living(kind)
    return found


def resident_bytes(pid: int | None = None) -> int:
    """The memory that a process holds; None: this one."""
    return psutil.Process(pid).memory_info().rss


def processor_seconds(pid: int | None = None) -> float:
    """The processor's time that a process has used; None: this one."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated_bytes() -> int:
    """What this process has had from glibc and not given back (mallinfo(3)).

    Unlike `resident_bytes` it leaves out what glibc keeps for the next time. Objects of Python of
    up to 512 bytes are not in it.
    """
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo
    told = mallinfo()
    return int(told.uordblks + told.hblkhd)


def told(kinds: Iterable[type[Any]]) -> str:
    """What lives of some kinds, and of which kinds what holds it is: for the words of a failure."""
    parts = []
    for kind in kinds:
        found: list[Any] = living(kind)
        if found:
            holders = sorted({type(holder).__qualname__ for holder in gc.get_referrers(*found)})
            parts.append(f"{len(found)} of {kind.__name__}, held by {', '.join(holders)}")
    return "; ".join(parts)
