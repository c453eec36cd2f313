"""Walks all models and prints what each walk found: `python -m tests.model [--wide]`.

With `--wide`, larger walks follow, which take some minutes and half a gigabyte.
"""

import sys
import time

from rich.console import Console
from rich.status import Status
from rich.table import Table

from tests.model.variants import ALL, WIDE, Variant


def main(arguments: list[str]) -> int:
    """Shows how far it is, then a row for each walk; 0 if all found what they were to find."""
    variants = (*ALL, *WIDE) if "--wide" in arguments else ALL
    console = Console()
    table = Table("model", "rules", "what happens at most", "states", "found", "seconds")
    failed = 0
    with console.status("") as status:
        for number, variant in enumerate(variants, start=1):
            row, fits = _row(variant, f"walk {number} of {len(variants)}: {variant}", status)
            failed += not fits
            table.add_row(*row, style="" if fits else "bold red")
    console.print(table)
    console.print(f"{len(variants) - failed} of {len(variants)} walks found what they were to find")
    return 1 if failed else 0


def _row(variant: Variant, title: str, status: Status) -> tuple[tuple[str, ...], bool]:
    status.update(title)
    began = time.monotonic()
    outcome = variant.walk(lambda states: status.update(f"{title}: {states:,} states"))
    kind = outcome.violation.kind if outcome.violation else None
    found = f"{kind}: {' > '.join(outcome.trace)}" if kind else "holds"
    seconds = f"{time.monotonic() - began:.1f}"
    rules = variant.without or "all"
    row = (variant.part, rules, variant.bounds, f"{outcome.states:,}", found, seconds)
    return row, kind == variant.expected


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
