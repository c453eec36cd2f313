"""Counts where prose breaks a rule of `CONTRIBUTING.md`, and holds each count down.

`prose_counts.json` has the count of each rule for each part of the repository. The command exits
with 1 where a count is higher than that. `--lower` writes the counts that have fallen, and none
that has risen. `--list RULE` says where a rule is broken.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tools.prose_rules import RULES
from tools.prose_texts import prose_of

ROOT = Path(__file__).resolve().parents[1]
COUNTS = "tools/prose_counts.json"
_SHOWN = 30
"""Places that are listed of one count that has grown."""
_DEEP = frozenset({"clients", "libs", "services"})
"""Folders whose folders are parts of their own."""

Counts = Mapping[str, Mapping[str, int]]
"""How often each rule is broken in each part."""


class Breach(NamedTuple):
    """One place at which a rule is broken."""

    rule: str
    path: str
    line: int

    @property
    def part(self) -> str:
        """The part of the repository that it counts for."""
        first, *rest = Path(self.path).parts
        return f"{first}/{rest[0]}" if first in _DEEP else first

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}"


def breaches(root: Path) -> Iterator[Breach]:
    """Every place at which a rule is broken."""
    for prose in prose_of(root):
        for rule, lines in RULES.items():
            for line in lines(prose):
                yield Breach(rule, prose.path, line)


def counted(found: Iterable[Breach]) -> dict[str, dict[str, int]]:
    """The counts, by rule and part, in order."""
    counts = Counter((one.rule, one.part) for one in found)
    return {
        rule: {part: counts[rule, part] for name, part in sorted(counts) if name == rule}
        for rule in RULES
    }


def grown(found: Counts, allowed: Counts) -> list[tuple[str, str]]:
    """The rules and parts that are broken more often than is allowed."""
    return [
        (rule, part)
        for rule, parts in found.items()
        for part, count in parts.items()
        if count > allowed.get(rule, {}).get(part, 0)
    ]


def lowered(found: Counts, allowed: Counts) -> dict[str, dict[str, int]]:
    """Computes the counts that are allowed from now on: never more than before."""
    return {
        rule: {
            part: least
            for part, most in sorted(allowed.get(rule, {}).items())
            if (least := min(most, found.get(rule, {}).get(part, 0)))
        }
        for rule in RULES
    }


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lower", action="store_true", help="write counts that have fallen")
    parser.add_argument("--list", metavar="RULE", choices=RULES, help="say where a rule is broken")
    options = parser.parse_args(arguments)
    found = list(breaches(root))
    if options.list:
        print(*(one for one in found if one.rule == options.list), sep="\n")
        return 0
    counts, file = counted(found), root / COUNTS
    allowed: Counts = json.loads(file.read_text())
    for rule, part in (worse := grown(counts, allowed)):
        most = allowed.get(rule, {}).get(part, 0)
        print(
            f"prose: {rule}, in {part}: {counts[rule][part]} times; at most {most}", file=sys.stderr
        )
        places = [one for one in found if (one.rule, one.part) == (rule, part)]
        print(*places[:_SHOWN], sep="\n", file=sys.stderr)
    if worse:
        print("CONTRIBUTING.md, under Prose, says how to put it instead", file=sys.stderr)
        return 1
    if options.lower:
        file.write_text(json.dumps(lowered(counts, allowed), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
