"""The distribution, built as a package index would get it."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SOURCES = ("libs", "services", "clients", "deploy/local", "deploy/envoy", "proto/gen")
_FILES = ("pyproject.toml", "README.md", "LICENSE")


def copy_of_tree(folder: Path) -> Path:
    """What a distribution is made of, where building it leaves nothing behind in the tree."""
    tree = folder / "tree"
    for name in _SOURCES:
        passed_over = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=passed_over)
    for name in _FILES:
        shutil.copy(ROOT / name, tree / name)
    return tree


def build_sdist(tree: Path, into: Path) -> Path:
    """Packs the sources; gives the archive."""
    return _build("sdist", tree, into)


def build_wheel(tree: Path, into: Path) -> Path:
    """Builds the wheel; gives its file."""
    return _build("wheel", tree, into)


def unpacked(archive: Path, into: Path) -> Path:
    """Unpacks sources; gives their folder."""
    with tarfile.open(archive) as packed:
        packed.extractall(into, filter="data")
    (tree,) = into.iterdir()
    return tree


def _build(kind: str, tree: Path, into: Path) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    program = f"import setuptools.build_meta as b; b.build_{kind}({str(into)!r})"
    built = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = into.iterdir()
    return file
