"""The programs in Go: found, and built from their pinned modules."""

import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.errors import UsageError

_HERE = Path(__file__).resolve().parent
_OLDEST = (1, 26)
_VERSION_SECONDS = 20.0
_BUILD_SECONDS = 400.0


def go_version() -> str:
    """The version of the Go command, as `go1.26.8`.

    Raises:
        UsageError: there is none, or it is too old; says what to install.
    """
    wanted = ".".join(map(str, _OLDEST))
    remedy = f"`make bench` needs Go {wanted} or newer on the PATH: its load is written in Go"
    command = shutil.which("go")
    if command is None:
        raise UsageError(f"{remedy}. Install it; most systems call the package `golang` or `go`.")
    answer = subprocess.run(  # noqa: S603 - what PATH calls go
        (command, "version"), capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
    )
    found = parse_version(answer.stdout)
    if found is None or found < _OLDEST:
        raise UsageError(
            f"{remedy}; this one says {answer.stdout.strip() or answer.stderr.strip()!r}"
        )
    return answer.stdout.split()[2]


def parse_version(text: str) -> tuple[int, int] | None:
    """Reads what `go version` says: major and minor; None where it is not that."""
    found = re.match(r"go version go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def build(name: str, into: Path) -> Path:
    """Builds the program of a folder beside this file; quick where nothing has changed.

    Args:
        name: of the folder and the program.
        into: the folder for the program; made where it is missing.

    Raises:
        UsageError: it could not be built, as when its modules can't be had; says why.
    """
    into.mkdir(parents=True, exist_ok=True)
    program = into.absolute() / name
    # As the modules are pinned, and with the Go that is here. Without the tree's revision in it,
    # the program is the same from everywhere.
    command = ("go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o", str(program))
    try:
        answer = subprocess.run(  # noqa: S603 - our own program
            command,
            cwd=_HERE / name,
            capture_output=True,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"building {name} took more than {_BUILD_SECONDS:g} s") from None
    if answer.returncode != 0:
        raise UsageError(f"{name} could not be built:\n{answer.stderr.strip()}")
    return program
