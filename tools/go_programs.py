"""Builds programs in Go from their pinned modules, for benchmarks, checks and tests."""

import re
import shutil
import subprocess
from pathlib import Path

_VERSION_SECONDS = 20.0


class GoError(Exception):
    """Nothing can be built with the Go that is here, or this program can't; its text says why."""


def go_version(oldest: tuple[int, int]) -> str:
    """The version of the Go command, as `go1.26.8`.

    Args:
        oldest: major and minor of the oldest that will do.

    Raises:
        GoError: there is none, or it is older.
    """
    command = shutil.which("go")
    if command is None:
        raise GoError(
            "there is no go command. Install it; most systems call the package `golang` or `go`."
        )
    # From the root, where no module asks for another version of it.
    answer = subprocess.run(  # noqa: S603 - what PATH calls go
        (command, "version"),
        capture_output=True,
        text=True,
        timeout=_VERSION_SECONDS,
        check=False,
        cwd="/",
    )
    found = parse_version(answer.stdout)
    if found is None or found < oldest:
        said = answer.stdout.strip() or answer.stderr.strip()
        raise GoError(f"the go command says {said!r}, and {oldest[0]}.{oldest[1]} is needed")
    return answer.stdout.split()[2]


def parse_version(text: str) -> tuple[int, int] | None:
    """Reads what `go version` says: major and minor; None where it is not that."""
    found = re.match(r"go version go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def build(package: str, module: Path, program: Path, timeout_seconds: float) -> None:
    """Builds a program; quick where nothing has changed.

    Args:
        package: what to build, by its path from the module or its name in it.
        module: the folder of the `go.mod`, whose versions and hashes are kept to.
        program: the file to write; its folder is made where it is missing.
        timeout_seconds: bound on it. The first time, Go gets the modules and compiles them all.

    Raises:
        GoError: it could not be built, as when its modules can't be had.
    """
    program.parent.mkdir(parents=True, exist_ok=True)
    # Without paths and the tree's revision in it, the program is the same from any checkout.
    command = ("go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false")
    try:
        answer = subprocess.run(  # noqa: S603 - modules that are pinned
            (*command, "-o", str(program.absolute()), package),
            cwd=module,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GoError(f"building {program.name} took more than {timeout_seconds:g} s") from None
    if answer.returncode != 0:
        raise GoError(f"{program.name} could not be built:\n{answer.stderr.strip()}")
