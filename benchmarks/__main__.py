"""Measures one gateway on this machine: `make bench`, or `make bench QUICK=1`.

Prints a table and writes `.run/bench.json`. A load generator in Python takes as much CPU as
the gateway, so the loads are modest; compare figures only within one run.
"""

import argparse
import asyncio
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.cases import CASES, Result
from benchmarks.load import Load
from benchmarks.system import running_system

_HEADINGS = (
    "sent/s",
    "deliv/s",
    "deliv/CPU-s",
    "p50 ms",
    "p99 ms",
    "lost",
    "load CPU",
)
_REPORT = Path(".run/bench.json")


async def _measure(seconds: float, console: Console) -> list[Result]:
    results = []
    with tempfile.TemporaryDirectory() as folder:
        async with running_system(Path(folder)) as system:
            for number, case in enumerate(CASES, start=1):
                console.print(f"{number}/{len(CASES)} {case.name}, {seconds:g} s …")
                results.append(await Load(case, system).run(seconds))
    return results


def _table(results: Sequence[Result]) -> Table:
    table = Table(title="one gateway, one history, Valkey", box=box.SIMPLE)
    table.add_column("case", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        p50, p99, _ = result.delay_ms
        table.add_row(
            result.case.name,
            f"{result.sent / result.seconds:,.0f}",
            f"{result.delivered / result.seconds:,.0f}",
            f"{result.deliveries_per_cpu_second:,.0f}",
            f"{p50:.1f}",
            f"{p99:.1f}",
            str(result.missing),
            f"{result.load_cpu_seconds / result.seconds:.0%}",
        )
    return table


def main() -> int:
    """The command; returns its exit code: 1 where a note is missing."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 seconds a case instead of 20")
    options = parser.parse_args()
    console = Console()
    results = asyncio.run(_measure(5 if options.quick else 20, console))
    console.print(_table(results))
    _REPORT.parent.mkdir(exist_ok=True)
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    cases = [result.as_dict() for result in results]
    _REPORT.write_text(json.dumps({**machine, "cases": cases}, indent=2))
    console.print(f"written: {_REPORT}")
    return 1 if any(result.missing or result.failed for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
