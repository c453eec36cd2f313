"""`python -m tests.chaos`, as a user starts it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.processes import children_of, lives
from tests.support.waiting import eventually

_ROOT = Path(__file__).parents[2]


def _start(folder: Path, **settings: str) -> "subprocess.Popen[bytes]":
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos"],
            cwd=_ROOT,
            env=os.environ | {"CHAOS_FOLDER": str(folder / "run")} | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _run(folder: Path, **settings: str) -> int:
    process = _start(folder, **settings)
    try:
        return process.wait(timeout=90)
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHAOS_SECONDS", "0"),
        ("CHAOS_SEED", "first"),
        ("CHAOS_FAULTS", "redis-cut,redis-melted"),
        ("CHAOS_WITHOUT", "luck"),
    ],
)
def test_a_wrong_setting_ends_it_at_once_and_is_named(
    tmp_path: Path, name: str, value: str
) -> None:
    assert _run(tmp_path, **{name: value}) == 2
    assert name in (tmp_path / "output").read_text()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "run" / "logs" / "of-somebody-else"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert _run(tmp_path) == 2
    assert kept.exists()
    assert "not empty" in " ".join((tmp_path / "output").read_text().split())


async def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    process = _start(tmp_path, CHAOS_SECONDS="60")
    children: list[psutil.Process] = []
    try:
        await eventually(lambda: b"running" in (tmp_path / "output").read_bytes(), "it runs", 30)
        children = children_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        await eventually(lambda: process.poll() is not None, "it ends", 15)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert len(children) >= 9
    assert not [child for child in children if lives(child)]
    assert "interrupted" in (tmp_path / "output").read_text()


@pytest.mark.slow
def test_a_run_keeps_every_promise_and_says_so(tmp_path: Path) -> None:
    assert _run(tmp_path, CHAOS_SECONDS="20", CHAOS_SEED="5") == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["passed"] is True
    assert report["total"]["acknowledged"] > 500
    assert report["total"]["injected"] > 5
    assert "passed" in (tmp_path / "output").read_text()


@pytest.mark.slow
def test_a_run_without_a_mechanism_exits_with_one(tmp_path: Path) -> None:
    assert _run(tmp_path, CHAOS_SECONDS="12", CHAOS_WITHOUT="trimming-rule") == 1
    assert "lost" in (tmp_path / "output").read_text()
