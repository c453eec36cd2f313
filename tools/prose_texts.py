"""The prose of the repository, by file and line: docstrings, comments, test names, documents."""

import ast
import re
import tokenize
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Literal, NamedTuple

FOLDERS = (
    "benchmarks",
    "clients",
    "deploy",
    "docs",
    "libs",
    "proto/notecast",
    "services",
    "tests",
    "tools",
)
"""Where prose is, beside the documents at the root."""

_COMMENT = {".lua": re.compile(r"^\s*--(?: |$)(.*)"), ".proto": re.compile(r"^\s*//(?: |$)(.*)")}
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_GENERATED = re.compile(r"<!-- (table|picture) of .*?<!-- end of \1 -->", re.DOTALL)


class Prose(NamedTuple):
    """One docstring, run of comment lines, name of a test, or paragraph, item or row of a document.

    Attributes:
        path: the file, from the root on.
        line: where it begins, from 1 on.
        text: its words; line breaks as they are.
        kind: what it is.
        owner: of a docstring, what it describes: `module`, `class`, `function`, `attribute`.
        name: of a docstring, the name of its owner.
        bases: of a method's docstring, the names of the classes that its class derives from.
    """

    path: str
    line: int
    text: str
    kind: Literal["docstring", "comment", "test", "document"]
    owner: str = ""
    name: str = ""
    bases: tuple[str, ...] = ()

    @property
    def public(self) -> bool:
        """Whether a docstring describes something for others than its own module."""
        return self.kind == "docstring" and not self.name.startswith("_")


def prose_of(root: Path) -> Iterator[Prose]:
    """All prose below a folder, file by file."""
    for path in sorted(_files(root)):
        name = path.relative_to(root).as_posix()
        yield from prose_in(name, path.read_text())


def _files(root: Path) -> Iterator[Path]:
    yield from root.glob("*.md")
    for folder in FOLDERS:
        for suffix in (".py", ".lua", ".proto", ".md"):
            yield from (root / folder).rglob(f"*{suffix}")


def prose_in(name: str, text: str) -> Iterator[Prose]:
    """The prose of one file.

    Args:
        name: the file, from the root on; its suffix says what it is.
        text: what is in it.
    """
    match Path(name).suffix:
        case ".py":
            yield from _docstrings(name, ast.parse(text))
            if "#" in text:
                comments = (
                    (token.start[0], token.string.lstrip("#").strip())
                    for token in tokenize.generate_tokens(StringIO(text).readline)
                    if token.type == tokenize.COMMENT
                )
                yield from _runs(name, comments)
        case ".md":
            yield from _paragraphs(name, text)
        case suffix:
            found = (
                (number, match[1])
                for number, line in enumerate(text.splitlines(), 1)
                if (match := _COMMENT[suffix].match(line))
            )
            yield from _runs(name, found)


def _docstrings(name: str, tree: ast.AST, bases: tuple[str, ...] = ()) -> Iterator[Prose]:
    body: list[ast.stmt] = getattr(tree, "body", [])
    for before, statement in zip([None, *body], body, strict=False):
        match statement:
            case ast.Expr(value=ast.Constant(value=str(text))):
                owner, owned = _owner(tree, before)
                yield Prose(name, statement.lineno, text, "docstring", owner, owned, bases)
            case ast.ClassDef():
                yield from _docstrings(
                    name, statement, tuple(_name(one) for one in statement.bases)
                )
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _test_name(name, statement)
                yield from _docstrings(name, statement, bases)


def _test_name(path: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Prose]:
    """The name of a test is its promise, and is read as a sentence."""
    if function.name.startswith("test_"):
        words = function.name.removeprefix("test_").replace("_", " ").capitalize()
        yield Prose(path, function.lineno, words, "test")


def _owner(tree: ast.AST, before: ast.stmt | None) -> tuple[str, str]:
    match before, tree:
        case ast.Assign(targets=[target, *_]) | ast.AnnAssign(target=target), _:
            return "attribute", _name(target)
        case _, ast.ClassDef(name=name):
            return "class", name
        case _, ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return "function", name
        case _:
            return "module", ""


def _name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return _name(value)
        case _:
            return ""


def _runs(name: str, lines: Iterator[tuple[int, str]]) -> Iterator[Prose]:
    """Comments on lines that follow each other are one text."""
    begin, run = 0, list[str]()
    for number, line in lines:
        if run and number == begin + len(run):
            run.append(line)
            continue
        if run:
            yield Prose(name, begin, "\n".join(run), "comment")
        begin, run = number, [line]
    if run:
        yield Prose(name, begin, "\n".join(run), "comment")


def _paragraphs(name: str, text: str) -> Iterator[Prose]:
    """Code and what a tool has written are left out."""
    for hidden in (_GENERATED, _FENCED):
        text = hidden.sub(lambda found: "\n" * found[0].count("\n"), text)
    begin, run = 0, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], 1):
        starts = re.match(r"\s*([-*|#>]|\d+\.) ?", line)
        if run and (starts or not line.strip()):
            yield Prose(name, begin, "\n".join(run), "document")
            run = []
        if line.strip():
            begin = number if not run else begin
            run.append(line)
