"""The modules of each package, each with the first sentence that it says of itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools.import_layers import layers

ROOT = Path(__file__).resolve().parents[1]
HOMES = ("services/chat-gateway", "services/history", "libs", "clients/python")
"""The folders that hold the packages of services, libraries and clients."""

_SENTENCE = re.compile(r".+?[.?](?=\s|$)", re.DOTALL)


def folder_of(package: str, root: Path = ROOT) -> Path:
    """Finds the folder of a package.

    Raises:
        LookupError: no service and no library has this name.
    """
    for home in HOMES:
        if (root / home / package / "__init__.py").is_file():
            return root / home / package
    raise LookupError(f"there is no package {package}")


def packages(root: Path = ROOT) -> list[str]:
    """The packages of all services and libraries."""
    return [
        path.parent.name for home in HOMES for path in sorted(root.glob(f"{home}/*/__init__.py"))
    ]


def modules_of(package: str, root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """The modules and scripts of a package, by layer and name: each path, and its first sentence.

    A folder counts as a module; its sentence is that of its `__init__.py`.
    """
    folder = folder_of(package, root)
    order = {group.container: group for group in layers(root / "pyproject.toml")}

    def rank(path: Path) -> tuple[int, list[str]]:
        inner = path.relative_to(folder)
        top = inner.parts[0].removesuffix(".py")
        group = order.get(package)
        parts = list(inner.parts[:-1]) + ([""] if path.name == "__init__.py" else [path.name])
        return (group.rank(top) if group else 0, parts)

    paths = [path for path in folder.rglob("*") if path.suffix in {".py", ".lua"}]
    for path in sorted(paths, key=rank):
        inner = path.relative_to(folder)
        if path.name != "__init__.py":
            yield inner.as_posix(), sentence_of(path)
        elif path.parent != folder:
            yield f"{inner.parent.as_posix()}/", sentence_of(path)


def sentence_of(path: Path) -> str:
    """Reads the first sentence that a module or a Lua script says of itself.

    Raises:
        ValueError: it says nothing.
    """
    text = path.read_text()
    if path.suffix == ".lua":
        comment = re.match(r"(?:-- .*\n)+", text)
        said = " ".join(line[3:] for line in comment[0].splitlines()) if comment else ""
        found = _SENTENCE.match(said)
        said = found[0] if found else said
    else:
        said = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0].replace("\n", " ")
    if not said:
        raise ValueError(f"{path}: says nothing of itself")
    return said
