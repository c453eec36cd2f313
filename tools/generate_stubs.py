"""Writes the Python stubs of every contract in `proto` into `proto/gen`.

`--check` writes nothing and exits with 1 where what is checked in is stale.
The path of a proto file is the import path of its stubs, so nothing that protoc
writes is rewritten afterwards.
"""

import argparse
import filecmp
import importlib.resources
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "proto"
STUBS = SOURCES / "gen"


def generate(into: Path) -> None:
    """Runs protoc, with type stubs, over all contracts.

    Args:
        into: an empty folder.

    Raises:
        SystemExit: protoc refused a file; it has said why.
    """
    contracts = sorted(
        str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.proto")
        if STUBS not in path.parents
    )
    # Beside this interpreter, so that an environment need not be activated.
    plugins = [
        f"--plugin=protoc-gen-{name}={Path(sys.executable).parent / f'protoc-gen-{name}'}"
        for name in ("mypy", "mypy_grpc")
    ]
    known_types = importlib.resources.files("grpc_tools") / "_proto"
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={SOURCES}",
            f"--proto_path={known_types}",
            *plugins,
            f"--python_out={into}",
            f"--grpc_python_out={into}",
            f"--mypy_out=quiet:{into}",
            f"--mypy_grpc_out=quiet:{into}",
            *contracts,
        ]
    )
    if status:
        raise SystemExit(status)
    for folder in {stub.parent for stub in into.rglob("*.pyi")}:
        (folder / "py.typed").touch()  # type checkers read the stubs of an installed package then


def differences(left: Path, right: Path) -> list[str]:
    """The files, by relative path, that the two folders do not hold alike."""
    names = {
        path.relative_to(folder)
        for folder in (left, right)
        for path in folder.rglob("*.py*")
        if path.is_file() and path.suffix in {".py", ".pyi"}
    }
    return sorted(
        str(name)
        for name in names
        if not (left / name).is_file()
        or not (right / name).is_file()
        or not filecmp.cmp(left / name, right / name, shallow=False)
    )


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the stubs are stale")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        stale = differences(fresh, STUBS)
        if options.check:
            for name in stale:
                print(f"stale: proto/gen/{name}", file=sys.stderr)
            if stale:
                print("run `make proto`, and commit what it writes", file=sys.stderr)
            return 1 if stale else 0
        shutil.rmtree(STUBS, ignore_errors=True)
        shutil.copytree(fresh, STUBS)
    print(f"proto/gen: {len(stale)} files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
