"""The benchmarks' programs in Go."""

from pathlib import Path

from benchmarks.errors import UsageError
from tools import go_programs
from tools.go_programs import GoError

_HERE = Path(__file__).resolve().parent
_OLDEST = (1, 26)
_BUILD_SECONDS = 400.0


def go_version() -> str:
    """The version of the Go command, as `go1.26.8`.

    Raises:
        UsageError: there is none, or it is too old; says what to install.
    """
    try:
        return go_programs.go_version(_OLDEST)
    except GoError as error:
        wanted = ".".join(map(str, _OLDEST))
        remedy = f"`make bench` needs Go {wanted} or newer on the PATH: its load is written in Go"
        raise UsageError(f"{remedy}, and {error}") from None


def build(name: str, into: Path) -> Path:
    """Builds the program of a folder beside this file; quick where nothing has changed.

    Args:
        name: of the folder and the program.
        into: the folder for the program; made where it is missing.

    Raises:
        UsageError: it could not be built, as when its modules can't be had; says why.
    """
    program = into.absolute() / name
    try:
        go_programs.build(".", _HERE / name, program, _BUILD_SECONDS)
    except GoError as error:
        raise UsageError(str(error)) from None
    return program
