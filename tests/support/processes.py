"""Whether processes live, as the kernel tells (Linux: proc(5))."""

from pathlib import Path
from typing import NamedTuple

_ZOMBIE = "Z"


class ProcessId(NamedTuple):
    """A process for good: a number may be given again, but not with the same start."""

    pid: int
    start: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId":
        """Names a living process; OSError where there is none."""
        return cls(pid, _fields(pid)[19])

    @property
    def lives(self) -> bool:
        """Whether it runs; one that has ended and waits for its parent to notice does not."""
        try:
            fields = _fields(self.pid)
        except OSError:
            return False
        return fields[19] == self.start and fields[0] != _ZOMBIE

    @property
    def command(self) -> list[str]:
        """Its program and arguments."""
        return Path(f"/proc/{self.pid}/cmdline").read_text().split("\0")


def children_of(pid: int) -> list[ProcessId]:
    """The living children of a process."""
    numbers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [ProcessId.of(int(number)) for number in numbers]


def _fields(pid: int) -> list[str]:
    """What stat says behind the name, which may hold anything: the state comes first."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
