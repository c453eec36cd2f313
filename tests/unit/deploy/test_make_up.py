"""`make up`, with an engine that is played by a script."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def make_up(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    docker = folder / "docker"
    docker.write_text(f"#!/bin/sh\n{script}\n")
    docker.chmod(0o755)
    return subprocess.run(
        ["make", "up"],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "NOTECAST_REVISION": "r"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_did_not_start_is_not_said_to_run_but_how_to_go_on(tmp_path: Path) -> None:
    ended = make_up(tmp_path, 'echo "bind: address already in use" >&2; exit 1')
    assert ended.returncode != 0
    assert "address already in use" in ended.stderr
    for word in ("NOTECAST_PORT=", "NOTECAST_TUTORIAL_PORT=", "make down"):
        assert word in ended.stderr
    assert "Notecast runs" not in ended.stdout


def test_what_started_is_followed_by_what_to_type(tmp_path: Path) -> None:
    ended = make_up(tmp_path, "exit 0")
    assert ended.returncode == 0, ended.stderr
    assert "Notecast runs on localhost:" in ended.stdout
    assert "make down" in ended.stdout
    assert ended.stderr == ""
