"""Which objects of the services in this process are alive: what a leak shows up in."""

import gc
from pathlib import Path
from typing import TypeVar

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
