"""Programs written in Go that tests need, built from pinned modules.

`tests/wire/conformance/go/go.mod` names the modules and `go.sum` their hashes. What is built goes
to `.run/go-tools`, and Go's own cache makes every build but the first a matter of a second.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_ROOT = Path(__file__).resolve().parents[2]
MODULE = _ROOT / "tests" / "wire" / "conformance" / "go"
_FOLDER = _ROOT / ".run" / "go-tools"

PACKAGES: Mapping[str, str] = MappingProxyType(
    {
        "h2spec": "github.com/summerwind/h2spec/cmd/h2spec",
        "interop": "google.golang.org/grpc/interop/client",
        "grpcurl": "github.com/fullstorydev/grpcurl/cmd/grpcurl",
        "client": "./client",
    }
)
"""What can be built: a program's name here, and its Go package."""

_OLDEST = (1, 26)
_VERSION_SECONDS = 20
# The first build downloads the modules and compiles them all.
_BUILD_SECONDS = 600


def go_fault() -> str | None:
    """Why nothing can be built here, or None where it can."""
    if shutil.which("go") is None:
        return "there is no go command"
    command = ["go", "env", "GOVERSION"]
    answer = subprocess.run(
        command, capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True, cwd="/"
    )
    version = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    if version is None or (int(version[1]), int(version[2])) < _OLDEST:
        return f"go is {answer.stdout.strip()}, older than {_OLDEST[0]}.{_OLDEST[1]}"
    return None


def build(name: str) -> Path:
    """Builds one of PACKAGES, if it is not there yet.

    Args:
        name: of the program.

    Returns:
        The program's path.

    Raises:
        AssertionError: it could not be built; says why.
    """
    _FOLDER.mkdir(parents=True, exist_ok=True)
    program = _FOLDER / name
    # Without a work tree's revision in it the program is the same from any checkout.
    command = ["go", "build", "-buildvcs=false", "-o", str(program), PACKAGES[name]]
    answer = subprocess.run(
        command,
        cwd=MODULE,
        env=os.environ | {"GOFLAGS": "-mod=readonly"},
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    assert answer.returncode == 0, f"`{' '.join(command)}` fails:\n{answer.stderr}"
    return program
