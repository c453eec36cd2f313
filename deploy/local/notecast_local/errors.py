"""The errors that end the local stack, in words for the user.

LocalStackError
├── PortTakenError          another program listens on a port for clients
├── AlreadyRunningError     a stack with the same data folder runs
├── UnusableFolderError     the data folder can't be made or written
└── ChildError              a child, with the last lines of its log
    ├── ChildDiedError      ended by itself
    └── ChildNotReadyError  did not become ready in time
"""

import signal
from collections.abc import Sequence
from pathlib import Path


class LocalStackError(Exception):
    """Ends the command with exit code 1 and the error's text."""


class PortTakenError(LocalStackError):
    """A port for clients can't be used."""

    def __init__(self, port: int, purpose: str, variable: str, fault: str) -> None:
        super().__init__(
            f"port {port} ({purpose}) is not free: {fault}. End what uses it, or choose another"
            f" port with {variable}=..."
        )
        self.port = port


class AlreadyRunningError(LocalStackError):
    """Another stack uses the same data, and two would corrupt them."""

    def __init__(self, folder: Path, pid: str) -> None:
        super().__init__(
            f"a local stack runs already with the data in {folder} (process {pid}). Stop it with"
            " Ctrl-C there, or choose another folder with NOTECAST_DATA=..."
        )
        self.folder = folder


class UnusableFolderError(LocalStackError):
    """The data folder is no folder, or can't be written."""

    def __init__(self, folder: Path, fault: str) -> None:
        super().__init__(
            f"can't keep data in {folder}: {fault}. Choose another folder with NOTECAST_DATA=..."
        )
        self.folder = folder


class ChildError(LocalStackError):
    """A child failed; has its name and the end of its log."""

    def __init__(self, name: str, fault: str, log: Path, last_lines: Sequence[str]) -> None:
        quoted = "".join(f"\n    {line}" for line in last_lines) or "\n    (nothing)"
        super().__init__(f"{name} {fault}. The last lines of {log}:{quoted}")
        self.name = name


class ChildDiedError(ChildError):
    """A child ended by itself."""

    def __init__(self, name: str, status: int, log: Path, last_lines: Sequence[str]) -> None:
        super().__init__(name, f"died: {describe_status(status)}", log, last_lines)
        self.status = status


class ChildNotReadyError(ChildError):
    """A child runs, but does not become ready."""

    def __init__(self, name: str, seconds: float, log: Path, last_lines: Sequence[str]) -> None:
        super().__init__(name, f"is not ready after {seconds:g} s", log, last_lines)


def describe_status(status: int) -> str:
    """Describes an exit status, as in subprocess: an exit code, or minus a signal's number."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
