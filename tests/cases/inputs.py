"""Where the inputs are, and how one is run.

An input is a program that prints what happened; its head says what is right. They lie beside the
project, in the folder `CASES_FOLDER` names, by default `../shared/cases`. The judgements are here.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("CASES_FOLDER") or ROOT.parent / "shared" / "cases")

needs_inputs = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"THE CASES DID NOT RUN: there is no folder {FOLDER}"
)


def run_input(name: str, *arguments: str, seconds: float, **environment: str) -> str:
    """Runs one input from the root of this checkout, with this environment's Python or bash.

    Args:
        name: the file, relative to the folder.
        arguments: its arguments.
        seconds: bound on its run; pytest's own timeout must be longer.
        environment: variables beside those of this process.

    Returns:
        What it printed, on both streams, in order.

    Raises:
        AssertionError: it ended with another code than 0. Shows what it printed.
        subprocess.TimeoutExpired: it did not end in time.
    """
    program = [sys.executable, "-u"] if name.endswith(".py") else ["bash"]
    done = subprocess.run(
        [*program, str(FOLDER / name), *arguments],
        cwd=ROOT,
        env=os.environ | {"NC_ROOT": str(ROOT)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
    )
    output = done.stdout.decode(errors="replace")
    assert done.returncode == 0, output
    return output
