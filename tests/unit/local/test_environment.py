"""tools/make_environment.py in a small tree of its own, without any package index."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

# A build backend that packs nothing, so that nothing has to be installed for it.
BACKEND = """
import pathlib, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "tree-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("tree.py", "")
        wheel.writestr("tree-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tree\\nVersion: 1.0\\n")
        wheel.writestr("tree-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("tree-1.0.dist-info/RECORD", "")
    return name
"""  # noqa: E501 - lines of another file
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tree"
version = "1.0"
"""


class Tree:
    """A tree with the program, a lock, and a folder of wheels as its only source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        for part in ("tools", "requirements", "wheels"):
            (folder / part).mkdir()
        shutil.copy(ROOT / "tools" / "make_environment.py", folder / "tools")
        (folder / "backend.py").write_text(BACKEND)
        (folder / "pyproject.toml").write_text(PYPROJECT)

    @property
    def stamp(self) -> Path:
        return self.folder / ".venv" / ".local"

    def add_wheel(self, name: str) -> str:
        """Makes a wheel; returns its line in a lock."""
        path = self.wheels / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"{name}.py", "")
            folder = f"{name}-1.0.dist-info"
            metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            wheel.writestr(f"{folder}/METADATA", metadata)
            wheel.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{folder}/RECORD", "")
        return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"

    def lock(self, *lines: str) -> None:
        (self.folder / "requirements" / "local.txt").write_text("".join(lines))

    def start(self, **environment: str) -> subprocess.Popen[str]:
        source = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)} | environment
        return subprocess.Popen(
            [sys.executable, self.folder / "tools" / "make_environment.py", "local"],
            env=os.environ | source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def make(self, **environment: str) -> tuple[int, str]:
        """Runs the program; returns its exit code and what it said."""
        with self.start(**environment) as process:
            output, _ = process.communicate(timeout=100)
        return process.returncode, output

    def has(self, module: str) -> bool:
        command = [str(self.folder / ".venv" / "bin" / "python"), "-c", f"import {module}"]
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("tree"))


def test_it_makes_the_environment_and_does_nothing_a_second_time(tree: Tree) -> None:
    tree.lock(tree.add_wheel("one"))
    code, said = tree.make()
    assert (code, tree.has("one"), tree.has("tree")) == (0, True, True), said
    assert "installing the 1 packages" in said
    code, said = tree.make()
    assert (code, "installing" in said) == (0, False)


def test_a_changed_lock_is_installed(tree: Tree) -> None:
    tree.lock(tree.add_wheel("one"), tree.add_wheel("two"))
    assert tree.make()[0] == 0
    assert tree.has("two")


def test_a_missing_wheel_is_named_with_the_platform_and_nothing_counts_as_done(tree: Tree) -> None:
    tree.lock("rare==3.1 --hash=sha256:" + "0" * 64)
    code, said = tree.make()
    assert code == 1
    assert "there is no wheel of rare==3.1 for this platform" in said
    assert "linux" in said or "macosx" in said
    assert not tree.stamp.exists()


def test_an_index_out_of_reach_is_not_taken_for_a_missing_wheel(tree: Tree) -> None:
    tree.lock("rare==3.1 --hash=sha256:" + "0" * 64)
    nobody = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1"}
    code, said = tree.make(**nobody)
    assert code == 1
    assert "can't be reached" in said
    assert "no wheel" not in said


def test_a_package_that_is_not_the_locked_one_is_refused(tree: Tree) -> None:
    tree.add_wheel("three")
    tree.lock("three==1.0 --hash=sha256:" + "0" * 64)
    code, said = tree.make()
    assert code == 1
    assert "its hash differs" in said
    assert not tree.has("three")


def test_an_interrupted_installation_is_taken_up_again(tree: Tree) -> None:
    tree.lock(tree.add_wheel("four"))
    with tree.start() as process:
        assert process.stdout is not None
        while "installing" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGKILL)
    assert not tree.stamp.exists()
    assert tree.make()[0] == 0
    assert tree.has("four")


def test_two_at_once_wait_for_each_other(tree: Tree) -> None:
    tree.lock(tree.add_wheel("five"))
    with tree.start() as first, tree.start() as second:
        outputs = [process.communicate(timeout=100)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert sum("installing" in output for output in outputs) == 1
