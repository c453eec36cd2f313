"""The layers of the code as the import contracts in pyproject.toml have them, and their picture."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "pyproject.toml"
ALL = "all packages"
"""The name of the layers that have no container: those of the whole project."""

_IN_A_LINE = 4
"""Names of one layer in a line of the picture."""
_IO = "asyncio"
"""What a package may not import that is without I/O."""


class Layer(NamedTuple):
    """One layer.

    Attributes:
        names: of its modules.
        independent: whether none of them imports another.
    """

    names: Sequence[str]
    independent: bool


class Layers(NamedTuple):
    """One `layers` contract.

    Attributes:
        container: the package that has them; `ALL` for those of the project.
        layers: the highest first.
    """

    container: str
    layers: Sequence[Layer]

    def rank(self, module: str) -> int:
        """Counts the layers above a module; one that is in none stands below all."""
        return next(
            (rank for rank, layer in enumerate(self.layers) if module in layer.names),
            len(self.layers),
        )


def contracts(project: Path = PROJECT) -> Sequence[Mapping[str, Any]]:
    """The import contracts, as they are written."""
    contracts: Sequence[Mapping[str, Any]] = tomllib.loads(project.read_text())["tool"][
        "importlinter"
    ]["contracts"]
    return contracts


def layers(project: Path = PROJECT) -> list[Layers]:
    """Every `layers` contract, for each of its containers, in the order of the file."""
    return [
        Layers(container, [_layer(text) for text in contract["layers"]])
        for contract in contracts(project)
        if contract["type"] == "layers"
        for container in contract.get("containers", [ALL])
    ]


def _layer(text: str) -> Layer:
    names = [name.strip(" ()") for name in text.replace("|", ":").split(":")]
    return Layer(names, independent=":" not in text)


def without_io(project: Path = PROJECT) -> set[str]:
    """The packages that a contract keeps from doing I/O."""
    return {
        module
        for contract in contracts(project)
        if contract["type"] == "forbidden" and _IO in contract["forbidden_modules"]
        for module in contract["source_modules"]
    }


def picture(project: Path = PROJECT) -> str:
    """The layers as a Mermaid flowchart in Markdown, the highest layer at the top."""
    pure = without_io(project)
    lines = ["```mermaid", "flowchart TB"]
    for number, group in enumerate(layers(project)):
        lines.append(f'  subgraph g{number}["{group.container}"]')
        lines.append("    direction TB")
        nodes = [f"g{number}l{rank}" for rank in range(len(group.layers))]
        for node, layer in zip(nodes, group.layers, strict=True):
            lines.append(f'    {node}["{_label(group.container, layer, pure)}"]')
        lines.append(f"    {' --> '.join(nodes)}")
        lines.append("  end")
    return "\n".join([*lines, "```", ""])


def _label(container: str, layer: Layer, pure: set[str]) -> str:
    shown = list(_shown(container, layer.names, pure))
    comma = " | " if layer.independent else ", "
    lines = [
        comma.join(shown[start : start + _IN_A_LINE]) for start in range(0, len(shown), _IN_A_LINE)
    ]
    return f"{comma.rstrip()}<br/>".join(lines)


def _shown(container: str, names: Sequence[str], pure: set[str]) -> Iterator[str]:
    for name in names:
        whole = name if container == ALL else f"{container}.{name}"
        yield f"{name} (no I/O)" if whole in pure else name
