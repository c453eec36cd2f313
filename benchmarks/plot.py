"""The plot of a run: ratios to the hub, and delays."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.cases import GRPCIO, HUB, WIRE, WIRE_ENVOY, Case, Mode
from benchmarks.figures import Figures, Results
from benchmarks.goals import HUB_FLOORS, per_cpu_second, ratio

_COLOURS = {WIRE: "#1f6f8b", GRPCIO: "#99a8b2", WIRE_ENVOY: "#e08e45", HUB: "#444444"}
_OTHER_COLOUR = "#8b5fbf"
_BAR = 0.8
_INCHES_PER_CASE = 0.75


def write_plot(
    cases: Sequence[Case], results: Results, machine: Mapping[str, str], path: Path
) -> None:
    """Draws the steady cases that the hub took part in, as an SVG file.

    Args:
        cases: in the order wanted.
        results: what was measured.
        machine: for the title: `cpu`, `cores` and `date`.
        path: of the file.
    """
    shown = [case for case in cases if case.mode is Mode.STEADY and (case.name, HUB) in results]
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": "notecast",  # the same figures give the same file
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    ):
        figure = _drawn(shown, results)
        figure.suptitle(f"{machine['cpu']}, {machine['cores']} cores, {machine['date'][:10]}")
        figure.savefig(path, format="svg", metadata={"Date": None})


def _drawn(cases: Sequence[Case], results: Results) -> Figure:
    figure = Figure(figsize=(10, 2.0 + _INCHES_PER_CASE * len(cases)), layout="constrained")
    ratios, delays = figure.subplots(1, 2, sharey=True)
    _draw(ratios, cases, _ratios(cases, results), "deliveries per CPU-second, times the hub's")
    ratios.invert_yaxis()  # the first case on top; the other axes share it
    _draw_scale(ratios)
    _draw_floors(ratios, cases)
    _draw(delays, cases, _delays(cases, results), "p99 delay, ms")
    handles = {
        label: handle
        for axes in (delays, ratios)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6)
    return figure


Bars = Mapping[str, Sequence[float | None]]
"""By server, a length for each case; None where there is none."""


def _ratios(cases: Sequence[Case], results: Results) -> Bars:
    return {
        server: [
            ratio((case.name, server), (case.name, HUB), per_cpu_second)(results) for case in cases
        ]
        for server in _servers(cases, results)
        if server != HUB
    }


def _delays(cases: Sequence[Case], results: Results) -> Bars:
    return {
        server: [_delay(results.get((case.name, server))) for case in cases]
        for server in _servers(cases, results)
    }


def _delay(figures: Figures | None) -> float | None:
    """Of a server that falls behind it says nothing but for how long that was measured."""
    return figures.delay_p99_ms if figures is not None and figures.keeps_up else None


def _servers(cases: Sequence[Case], results: Results) -> list[str]:
    names = {case.name for case in cases}
    return list(dict.fromkeys(server for case, server in results if case in names))


def _draw(axes: Axes, cases: Sequence[Case], bars: Bars, label: str) -> None:
    """A bar for each length, close together where servers of a case have none."""
    height = _BAR / max(1, len(bars))
    for server, lengths in bars.items():
        axes.barh(
            [_place(row, server, bars, height) for row in _rows(lengths)],
            [length for length in lengths if length is not None],
            height=height,
            color=_COLOURS.get(server, _OTHER_COLOUR),
            label=server,
        )
    axes.set_xlabel(label)
    axes.set_yticks(range(len(cases)), [case.name for case in cases])
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _rows(lengths: Sequence[float | None]) -> list[int]:
    return [row for row, length in enumerate(lengths) if length is not None]


def _place(row: int, server: str, bars: Bars, height: float) -> float:
    """Where a server's bar is among those of its case, which are centred on the case's row."""
    there = [name for name, lengths in bars.items() if lengths[row] is not None]
    return row + (there.index(server) + 0.5 - len(there) / 2) * height


def _draw_scale(axes: Axes) -> None:
    """Twice is as far as half, in numbers that can be read."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _draw_floors(axes: Axes, cases: Sequence[Case]) -> None:
    """A line where the hub is, and a mark where a gateway must come to."""
    axes.axvline(1.0, color=_COLOURS[HUB], linewidth=1)
    floors = [
        (row, HUB_FLOORS[case.name][0]) for row, case in enumerate(cases) if case.name in HUB_FLOORS
    ]
    axes.scatter(
        [floor for _, floor in floors],
        [row for row, _ in floors],
        marker="|",
        s=600,
        color="#c0392b",
        zorder=3,
        label="wire must reach",
    )
