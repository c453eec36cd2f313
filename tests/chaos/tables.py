"""What people see of the findings."""

import rich.box
from rich.console import Console
from rich.table import Table

from tests.chaos.findings import Breach, Findings, Tally, Violation

_ALWAYS = (Breach.LOST, Breach.REPEATED, Breach.REORDERED)
_SHOWN_EXAMPLES = 3


def show(findings: Findings, console: Console) -> None:
    """Prints the table, an example or so of each breach, and the verdict."""
    others = [b for b in Breach if b not in _ALWAYS and findings.breaches.get(b)]
    columns = (*_ALWAYS, *others)
    table = Table(
        title="notes, by the fault that began last",
        caption="silence: from acknowledged to delivered; beyond: less the fault",
        box=rich.box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("fault", no_wrap=True)
    for name in ("times", "notes", *columns, "silence", "beyond"):
        table.add_column(name, justify="right")
    for name, tally in sorted(findings.tallies.items()):
        table.add_row(*_row(name, tally, columns))
    table.add_section()
    table.add_row(*_row("total", findings.total, columns), style="bold")
    console.print(table)
    for example in _examples(findings):
        console.print(example, style="red", markup=False, highlight=False)
    console.print(_verdict(findings), style="bold red" if findings.breaches else "bold green")


def _row(name: str, tally: Tally, columns: tuple[Breach, ...]) -> list[str]:
    return [
        name,
        str(tally.injected),
        str(tally.acknowledged),
        *(str(tally.breaches[breach]) for breach in columns),
        f"{tally.silence:.2f} s",
        f"{tally.overdue:.2f} s",
    ]


def _examples(findings: Findings) -> list[str]:
    lines: list[str] = []
    for breach in Breach:
        of_it = [v for v in findings.examples if v.breach is breach]
        lines += [_line(violation) for violation in of_it[:_SHOWN_EXAMPLES]]
    return lines


def _line(violation: Violation) -> str:
    place = "" if violation.place is None else "/".join(map(str, violation.place))
    parts = (violation.room, place, violation.note_id, violation.who, violation.detail)
    return f"{violation.breach} ({violation.fault}): {' '.join(filter(None, parts))}"


def _verdict(findings: Findings) -> str:
    total = findings.total
    scope = f"{total.acknowledged} notes acknowledged, {findings.deliveries} deliveries"
    if findings.forgotten:
        scope += f", {findings.forgotten} forgotten by Redis as it was told to"
    if not findings.breaches:
        return f"passed: {scope}"
    counts = ", ".join(f"{count} {breach}" for breach, count in findings.breaches.items())
    return f"FAILED: {counts} ({scope}, {findings.readers} readers)"
