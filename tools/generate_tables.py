"""Writes the tables and pictures in the documents that say what code, Compose and benchmarks say.

A table stands between `<!-- table of NAME -->` and `<!-- end of table -->`, a picture between
`<!-- picture of NAME -->` and `<!-- end of picture -->`. `TABLES` and `PICTURES` have the names.
`--check` writes nothing and exits with 1 where one of them is stale.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_settings import BaseSettings

from chat_gateway.settings import GatewaySettings
from history.settings import HistorySettings
from notecast_local.settings import LocalSettings
from notecast_runtime.settings import ServiceSettings, describe_values
from tools.bounds_table import bounds
from tools.import_layers import picture
from tools.module_tables import modules_of, packages

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "clients/python/README.md",
    "docs/architecture.md",
    "docs/operations.md",
    "docs/protocol.md",
    "services/chat-gateway/README.md",
    "services/history/README.md",
)
COMPOSE = ROOT / "deploy"
FIGURES = ROOT / "docs" / "benchmarks" / "full.json"

_MARKED = re.compile(
    r"(?P<begin><!-- (?P<kind>table|picture) of (?P<name>[\w -]+) -->\n).*?"
    r"(?P<end><!-- end of (?P=kind) -->)",
    re.DOTALL,
)
_INTERPOLATION = re.compile(r"\$\{(?P<variable>\w+)(?::?[-?+])?(?:(?<=\?)(?P<message>[^}]*))?")
_SAID = re.compile(r"^#   (?P<variable>NOTECAST_\w+) +(?P<what>.+(?:\n# {15,}\S.*)*)", re.MULTILINE)
"""A variable, its default and a semicolon, and what it is for, as the files have it."""

Row = Sequence[str]


class Table(NamedTuple):
    """Cells in Markdown."""

    heads: Row
    rows: Iterable[Row]

    def __str__(self) -> str:
        lines = [_line(self.heads), "|" + "---|" * len(self.heads)]
        return "\n".join([*lines, *map(_line, self.rows)]) + "\n"


def _line(cells: Row) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def settings_of(kind: type[BaseSettings], without: Iterable[str] = ()) -> Table:
    """The settings of a class, in its order.

    Args:
        kind: the class.
        without: fields that are left out.
    """
    prefix, left_out = kind.model_config.get("env_prefix", ""), set(without)
    rows = [
        (
            f"`{prefix}{name.upper()}`",
            _shown(field.default),
            describe_values(kind, name),
            field.description or "",
        )
        for name, field in kind.model_fields.items()
        if name not in left_out
    ]
    return Table(("variable", "default", "takes", "what for"), rows)


def settings_of_compose(folder: Path = COMPOSE) -> Table:
    """Lists the variables that the Compose files themselves take from the environment.

    What they say of it at their head counts; of what they say nothing there, but ask for by
    `${NAME:?MESSAGE}`, the message does.

    Raises:
        ValueError: they ask for a variable and say nothing of it.
    """
    rows: dict[str, Row] = {}
    for name in ("docker-compose.yml", "docker-compose.production.yml"):
        text = (folder / name).read_text()
        for found in _SAID.finditer(text):
            said = re.sub(r"\s*\n#\s+", " ", found["what"])
            default, _, what = said.partition("; ")
            cells = ("none", said) if " " in default else (_shown(default), what)
            rows[found["variable"]] = (f"`{found['variable']}`", *cells)
        for found in _INTERPOLATION.finditer(text):
            variable, message = found.group("variable", "message")
            if message:
                what = message.removeprefix("is not set. ")
                rows.setdefault(variable, (f"`{variable}`", "must be set", what))
            if variable not in rows:
                raise ValueError(f"{name}: {variable} is not told of at its head")
    return Table(("variable", "default", "what for"), rows.values())


def _shown(default: object) -> str:
    if default in (None, ""):
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:.12g}" if isinstance(default, int | float) else f"`{default}`"


SERVICES = (GatewaySettings, HistorySettings)
SHARED = frozenset(
    name
    for name in ServiceSettings.model_fields
    if len({kind.model_fields[name].default for kind in SERVICES}) == 1
)
"""The fields that all services have alike."""


def cost_of_notes(figures: Path = FIGURES) -> Table:
    """Lists the cost of each case of a full benchmark, in cores."""
    heads = (
        "case",
        "load",
        "deliveries/s",
        "cores: gateways",
        "cores: all else",
        "deliveries for each second of a gateway's CPU",
        "p99",
    )
    return Table(heads, [_cost(figure) for figure in _figures(figures, memory=False)])


def memory_of_streams(figures: Path = FIGURES) -> Table:
    """Lists the memory of an idle stream in a gateway."""
    rows = [
        (f"`{figure['case']}`", figure["title"], f"{figure['bytes_per_stream'] / 1024:.1f} KiB")
        for figure in _figures(figures, memory=True)
    ]
    return Table(("case", "load", "memory for each further idle stream"), rows)


def _figures(path: Path, *, memory: bool) -> Iterator[Mapping[str, Any]]:
    """The figures of the server that is recommended, with Envoy and without."""
    for figure in json.loads(path.read_text())["figures"]:
        ours = figure["server"] in {"wire", "wire+envoy"} and figure["case"] != "tutorial"
        if ours and (figure["bytes_per_stream"] is not None) == memory:
            yield figure


def _cost(figure: Mapping[str, Any]) -> Row:
    delivered = figure["delivered_per_second"]
    gateways = delivered / figure["per_cpu_second"]
    whole = delivered / figure["per_cpu_second_whole"]
    envoy = " (Envoy among it)" if figure["server"] == "wire+envoy" else ""
    return (
        f"`{figure['case']}`",
        figure["title"].partition(";")[0],
        f"{delivered:,.0f}",
        f"{gateways:.2f}",
        f"{whole - gateways:.2f}{envoy}",
        f"{figure['per_cpu_second']:,.0f}",
        f"{figure['delay_p99_ms']:.0f} ms",
    )


def modules(package: str) -> Table:
    """Every module of a package, by layer, and what it is for."""
    rows = [(f"`{path}`", sentence) for path, sentence in modules_of(package)]
    return Table(("module", "what it is for"), rows)


TABLES: Mapping[str, Callable[[], Table]] = {
    "settings of both services": lambda: settings_of(
        ServiceSettings, ServiceSettings.model_fields.keys() - SHARED
    ),
    "settings of chat-gateway alone": lambda: settings_of(GatewaySettings, SHARED),
    "settings of history alone": lambda: settings_of(HistorySettings, SHARED),
    "settings of chat-gateway": lambda: settings_of(GatewaySettings),
    "settings of history": lambda: settings_of(HistorySettings),
    "settings of make run": lambda: settings_of(LocalSettings),
    "settings of Compose": settings_of_compose,
    "what notes cost": cost_of_notes,
    "what streams cost": memory_of_streams,
    "bounds of requests": lambda: Table(("what", "bound", "set by"), bounds()),
    **{f"modules of {package}": partial(modules, package) for package in packages()},
}
"""The tables that a document may ask for."""

PICTURES: Mapping[str, Callable[[], str]] = {"the layers": picture}
"""The pictures that a document may ask for, in Markdown."""


def filled(text: str) -> str:
    """A document with its tables and pictures as they should be.

    Raises:
        KeyError: it asks for one that there is none of.
    """
    made = {"table": TABLES, "picture": PICTURES}
    return _MARKED.sub(
        lambda found: f"{found['begin']}{made[found['kind']][found['name']]()}{found['end']}", text
    )


def stale(documents: Iterable[Path]) -> list[Path]:
    """The documents with a table or a picture that is not as it should be."""
    return [path for path in documents if filled(path.read_text()) != path.read_text()]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what is stale")
    options = parser.parse_args(arguments)
    changed = stale(root / name for name in DOCUMENTS)
    for path in changed:
        if options.check:
            print(f"stale: a table or picture in {path.relative_to(root)}", file=sys.stderr)
        else:
            path.write_text(filled(path.read_text()))
    if options.check:
        if changed:
            print("run `make docs`, and commit what it writes", file=sys.stderr)
        return 1 if changed else 0
    print(f"tables: {len(changed)} documents changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
