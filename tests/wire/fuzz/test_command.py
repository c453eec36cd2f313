"""What `make fuzz` runs says what it can do, and repeats what it has found."""

import subprocess
import sys
from pathlib import Path

from tests.wire.fuzz.inputs import seeds

_WITHOUT_ATHERIS = """
import runpy, sys
sys.modules["atheris"] = None
sys.argv = ["tests.wire.fuzz"]
runpy.run_module("tests.wire.fuzz", run_name="__main__")
"""


def _python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_it_repeats_an_input_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(seeds()["unary"])
    done = _python("-m", "tests.wire.fuzz", str(file))
    assert done.stdout == f"{file}: no fault\n"
    assert done.returncode == 0


def test_it_says_so_where_there_is_no_atheris() -> None:
    done = _python("-c", _WITHOUT_ATHERIS)
    assert "Linux on x86-64 alone" in done.stderr
    assert "pytest tests/wire/fuzz" in done.stderr
    assert done.returncode == 2
