"""What a process has and takes: objects that are alive, memory, time of the processor."""

import ctypes
import gc
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

Kind = TypeVar("Kind")


def living(kind: type[Kind]) -> list[Kind]:
    """Every object of exactly this kind that something still refers to."""
    gc.collect()
    return [found for found in gc.get_objects() if type(found) is kind]


def the(kind: type[Kind]) -> Kind:
    """The only object of its kind."""
    (found,) = living(kind)
    return found


def resident_bytes(pid: int | str = "self") -> int:
    """How much memory a process holds (Linux: proc(5), VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"the process {pid} has no memory")


def processor_seconds(pid: int | str = "self") -> float:
    """How much of the processor's time a process has used (Linux: proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
