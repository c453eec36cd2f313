"""The figures and the goals, for people."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from benchmarks.cases import HUB, WIRE, Case
from benchmarks.figures import Figures, Results
from benchmarks.goals import (
    GOALS,
    HUB_FLOORS,
    Goal,
    Unit,
    per_cpu_second,
    per_cpu_second_whole,
    ratio,
)

_LOAD_CORES = 0.9
_LOAD_LATE_MS = 10.0
_OTHER_CORES = 0.25
_HEADINGS = (
    "deliv/s",
    "per CPU-s",
    "x hub",
    "must",
    "all: x hub",
    "p50 ms",
    "p99 ms",
    "KiB",
    "lost",
    "rep.",
    "load",
)
_NONE = "-"


def figures_table(cases: Sequence[Case], results: Results) -> Table:
    """One row for each server of each case.

    Args:
        cases: in the order wanted.
        results: what was measured.
    """
    title = "Deliveries for a CPU-second of the gateway process"
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    table.add_column("case", no_wrap=True)
    table.add_column("server", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for case in cases:
        rows = [figures for (name, _), figures in results.items() if name == case.name]
        for number, figures in enumerate(rows):
            first = case.name if number == 0 else ""
            table.add_row(first, figures.server, *_cells(figures, results))
    return table


def _cells(figures: Figures, results: Results) -> list[str | Text]:
    of, hub = (figures.case, figures.server), (figures.case, HUB)
    floor = HUB_FLOORS.get(figures.case) if figures.server == WIRE else None
    stream = figures.bytes_per_stream
    return [
        f"{figures.delivered_per_second:,.0f}",
        _number(figures.per_cpu_second, ",.0f"),
        _number(ratio(of, hub, per_cpu_second)(results), ".2f"),
        _number(floor[0] if floor else None, ".1f"),
        _number(ratio(of, hub, per_cpu_second_whole)(results), ".2f"),
        _number(figures.delay_p50_ms, ".1f"),
        _number(figures.delay_p99_ms, ".1f"),
        _number(stream / 1024 if stream is not None else None, ".1f"),
        _bad_if_any(figures.lost),
        _bad_if_any(figures.repeated),
        f"{figures.load_cores:.2f}",
    ]


def remarks(results: Results) -> list[str]:
    """Remarks that make the figures of a row mean something else, a line for each such row."""
    return [
        f"{figures.case} on {figures.server}: {', '.join(found)}"
        for figures in results.values()
        if (found := list(_remarks(figures)))
    ]


def _remarks(figures: Figures) -> Iterator[str]:
    if not figures.keeps_up:
        yield "falls behind, so that this is its limit"
    if figures.load_cores >= _LOAD_CORES:
        yield "load at its limit"
    if figures.late_p99_ms >= _LOAD_LATE_MS:
        yield f"load {figures.late_p99_ms:.0f} ms late"
    if figures.other_cores is not None and figures.other_cores >= _OTHER_CORES:
        yield f"{figures.other_cores:.1f} cores were busy with something else"
    if figures.failed:
        yield f"{figures.failed:,} sends failed"
    if figures.ended:
        yield f"{figures.ended:,} streams ended"


def goals_table(results: Results) -> Table:
    """Lists the goals of all that was measured."""
    table = Table(title="Goals", box=box.SIMPLE)
    table.add_column("in this run", no_wrap=True)
    for heading in ("measured", "must", "aim", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for goal in GOALS:
        if (value := goal.measure(results)) is not None:
            table.add_row(goal.name, *_goal_cells(goal, value))
    return table


def _goal_cells(goal: Goal, value: float) -> list[str | Text]:
    sign = "≥" if goal.is_floor else "≤"
    return [
        _with_unit(value, goal.unit),
        f"{sign} {_with_unit(goal.bound, goal.unit)}",
        _NONE if goal.aim is None else _with_unit(goal.aim, goal.unit),
        Text("reached", "green") if goal.reached_by(value) else Text("not reached", "yellow"),
    ]


def _with_unit(value: float, unit: Unit) -> str:
    return f"{value:.2f} {unit.value}"


def _number(value: float | None, form: str) -> str:
    return _NONE if value is None else format(value, form)


def _bad_if_any(count: int) -> str | Text:
    return Text(f"{count:,}", "bold red") if count else "0"
