"""The page about the architecture names what there is, and nothing else."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "architecture.md"
HOMES = {
    "chat_gateway": "services/chat-gateway",
    "history": "services/history",
    "notecast_runtime": "libs",
    "notecast_wire": "libs",
    "notecast_text": "libs",
    "notecast_environment": "libs",
}
SPAN = re.MULTILINE | re.DOTALL
FOREIGN = frozenset({"doc/statuscodes.md"})
"""Files of others, named with whose they are."""


def files() -> list[str]:
    """Every file of the repository."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return listed.stdout.splitlines()


def modules() -> list[str]:
    """Every module and script of services and libraries, from the folder of its package on."""
    return [
        path.relative_to(ROOT / home).as_posix()
        for package, home in HOMES.items()
        for path in sorted((ROOT / home / package).rglob("*"))
        if path.suffix in {".py", ".lua"} and path.name != "__init__.py"
    ]


def named(page: str) -> list[str]:
    """The modules in the tables under "Every module", in the same form."""
    tables = page.partition("\n## Every module\n")[2]
    return [
        f"{package}/{path}"
        for package, body in re.findall(
            r"^### [^\n]*`(\w+)`\n(.*?)(?=^### |\Z)", tables, re.MULTILINE | re.DOTALL
        )
        for path in re.findall(r"^\| `([^`]+[^`/])` \|", body, re.MULTILINE)
    ]


def test_every_module_of_services_and_libraries_is_named_once() -> None:
    found = named(PAGE.read_text())
    assert len(found) > 100
    assert Counter(found) == Counter(modules())


def test_no_service_and_no_library_is_left_out() -> None:
    packages = {path.parent.name for path in ROOT.glob("libs/*/__init__.py")}
    packages |= {path.parent.name for path in ROOT.glob("services/*/*/__init__.py")}
    assert packages == set(HOMES)


def test_a_file_that_a_document_names_is_there() -> None:
    there = {f"/{name}" for name in files()}
    lost = []
    documents = [name for name in files() if name.endswith(".md") and name != "CHANGELOG.md"]
    assert len(documents) > 10
    for document in documents:
        text = (ROOT / document).read_text()
        paths = set(re.findall(r"`([\w./-]+\.(?:py|lua|proto|sh|toml|yaml|yml|md))`", text))
        lost += [
            f"{document}: {path}"
            for path in paths - FOREIGN
            if not any(name.endswith(f"/{path}") for name in there)
        ]
    assert lost == []


def test_a_test_that_a_document_names_is_there() -> None:
    named = [
        (document, path, test)
        for document in files()
        if document.endswith(".md") and document != "CHANGELOG.md"
        for path, test in re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / document).read_text())
    ]
    assert len(named) > 20
    lost = [
        f"{document}: {path}::{test}"
        for document, path, test in named
        if not re.search(rf"^(?:async )?def {test}\(", (ROOT / "tests" / path).read_text(), SPAN)
    ]
    assert lost == []


def members() -> dict[str, set[str]]:
    """The methods and attributes of every class of the code, and the methods of the contracts."""
    found: dict[str, set[str]] = {}
    for name in files():
        path = ROOT / name
        if name.endswith(".proto"):
            for service, body in re.findall(r"^service (\w+) \{(.*?)^\}", path.read_text(), SPAN):
                found.setdefault(service, set()).update(re.findall(r"rpc (\w+)", body))
        if not name.endswith(".py") or not name.startswith(("clients/", "libs/", "services/")):
            continue
        for kind in ast.walk(ast.parse(path.read_text())):
            if isinstance(kind, ast.ClassDef):
                found.setdefault(kind.name, set()).update(_names_in(kind))
    return found


def _names_in(kind: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(kind):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Attribute(attr=name):
                yield name


def test_a_class_and_its_member_that_a_document_names_are_there() -> None:
    there = members()
    named = [
        (document, kind, member)
        for document in files()
        if document.endswith(".md") and document != "CHANGELOG.md"
        for kind, member in re.findall(
            r"`([A-Z]\w*[a-z]\w*)\.(\w+)(?:\([^`]*\))?(?: ->[^`]*)?`", (ROOT / document).read_text()
        )
    ]
    assert len(named) > 15
    lost = [
        f"{document}: {kind}.{member}"
        for document, kind, member in named
        if member not in there.get(kind, ())
    ]
    assert lost == []
