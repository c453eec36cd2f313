"""Programs written in Go that tests need, built from pinned modules.

`tests/wire/conformance/go/go.mod` names the modules and `go.sum` their hashes. What is built goes
to `.run/go-tools`, and Go's own cache makes every build but the first a matter of a second.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tools import go_programs
from tools.go_programs import GoError

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
_BUILD_SECONDS = 600.0


def go_fault() -> str | None:
    """Why nothing can be built here, or None where it can."""
    try:
        go_programs.go_version(_OLDEST)
    except GoError as error:
        return str(error)
    return None


def build(name: str) -> Path:
    """Builds one of PACKAGES, if it is not there yet.

    Args:
        name: of the program.

    Returns:
        The program's path.

    Raises:
        GoError: it could not be built; says why.
    """
    program = _FOLDER / name
    go_programs.build(PACKAGES[name], MODULE, program, _BUILD_SECONDS)
    return program
