"""A service raises its bound on open files, and keeps some of them from its clients."""

import subprocess
import sys

import pytest

_SAY = (
    "import resource; from notecast_runtime.open_files import *; raise_open_files();"
    " print(*resource.getrlimit(resource.RLIMIT_NOFILE), most_connections())"
)


def bounds_after(soft: int, hard: int) -> list[int]:
    """Returns both bounds, and the connections, of a process that began with these bounds."""
    lowered = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
    command = [sys.executable, "-c", lowered + _SAY]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [int(word) for word in said.split()]


def test_a_service_may_open_as_many_files_as_the_system_allows_and_not_as_the_shell_began() -> None:
    assert bounds_after(soft=300, hard=1_000)[:2] == [1_000, 1_000]


@pytest.mark.parametrize(("files", "connections"), [(1_000, 744), (400, 200), (100, 50)])
def test_clients_never_take_the_files_that_a_service_needs_for_itself(
    files: int, connections: int
) -> None:
    assert bounds_after(soft=files, hard=files)[2] == connections
