"""`make bench`: measures everything on this machine, prints it, and keeps it.

Compares servers of one run only: figures of different machines, or of one at different times,
say nothing of each other. docs/benchmarks/README.md says how to read them.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks.cases import NOTECAST, Case, named
from benchmarks.errors import UsageError
from benchmarks.figures import Results, figures_of
from benchmarks.go_programs import build, go_version
from benchmarks.machine import describe_machine
from benchmarks.plan import FULL, QUICK, Pace, make_plan, quick_cases
from benchmarks.plot import write_plot
from benchmarks.records import record_of, write_record
from benchmarks.runner import Findings, Runner
from benchmarks.servers import Server, read_peers
from benchmarks.tables import figures_table, goals_table, remarks

_DOCUMENTS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
_PROGRAMS = Path(".run") / "bench"
_WIDTH = 140


class _ProgressBar:
    """As runner.Reporter: seconds of the plan that are over."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def begins(self, what: str) -> None:
        self._progress.update(self._task, description=what)

    def passed(self, seconds: float) -> None:
        self._progress.advance(self._task, seconds)


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code.

    Returns:
        0; 1 where a note was lost or repeated, a stream ended or something could not be measured;
        2 where the user has to set something right first.
    """
    options = _options(arguments)
    console = _console()
    try:
        cases = _cases(options)
        peers = read_peers(options.peers)
        go = go_version()
        with console.status("building the load generator and the hub"):
            load, hub = (build(name, _PROGRAMS) for name in ("load", "hub"))
    except (UsageError, ValueError) as error:
        console.print(str(error), style="red", markup=False)
        return 2
    pace = QUICK if options.quick else FULL
    findings = asyncio.run(_measure(cases, pace, peers, (load, hub), console))
    results = _results(cases, findings)
    _print(console, cases, results, findings)
    if results:
        whole = not (options.cases or findings.faults or findings.left_out)
        name = "quick" if options.quick else "full" if whole else "partial"
        machine = describe_machine(go)
        write_record(record_of(machine, pace, cases, results), _DOCUMENTS / f"{name}.json")
        write_plot(cases, results, machine, _DOCUMENTS / f"{name}.svg")
        console.print(f"written: docs/benchmarks/{name}.json and docs/benchmarks/{name}.svg")
    return 1 if findings.faults or _broken_promises(results) else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the main cases, once, in 90 s")
    parser.add_argument("--cases", default="", help="only these, comma separated")
    parser.add_argument(
        "--peers", default="", help="servers that run already: name=host:port[@pid+pid],…"
    )
    return parser.parse_args(arguments)


def _cases(options: argparse.Namespace) -> tuple[Case, ...]:
    cases = named(options.cases)
    return quick_cases(cases) if options.quick else cases


def _console() -> Console:
    console = Console()
    # Into a file or a pipe it would be 80 columns, too few for the table.
    return console if console.is_terminal else Console(width=_WIDTH)


async def _measure(
    cases: Sequence[Case],
    pace: Pace,
    peers: Sequence[Server],
    programs: tuple[Path, Path],
    console: Console,
) -> Findings:
    """Carries the plan out; SIGTERM ends it as Ctrl-C does, with all its children."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    plan = make_plan(cases, pace, [peer.name for peer in peers])
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with (
        tempfile.TemporaryDirectory(prefix="notecast-bench-") as folder,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        seconds = sum(stage.seconds for stage in plan)
        bar = _ProgressBar(progress, progress.add_task("", total=seconds))
        return await Runner(*programs, Path(folder), pace, peers, bar).run(plan)


def _results(cases: Sequence[Case], findings: Findings) -> Results:
    of_name = {case.name: case for case in cases}
    return {
        (case, server): figures_of(of_name[case], server, reports)
        for (case, server), reports in findings.reports.items()
    }


def _print(console: Console, cases: Sequence[Case], results: Results, findings: Findings) -> None:
    if results:
        console.print(figures_table(cases, results))
        for remark in remarks(results):
            console.print(f"  {remark}", style="yellow", markup=False)
        console.print(goals_table(results))
    for fault in findings.faults:
        console.print(f"not measured: {fault}", style="red", markup=False)
    if findings.left_out:
        console.print(f"no time was left for: {', '.join(findings.left_out)}", style="yellow")


def _broken_promises(results: Results) -> bool:
    """Whether a server lost or repeated notes, or ended streams, that promises not to."""
    return any(
        figures.lost or figures.repeated or figures.ended
        for figures in results.values()
        if figures.server in NOTECAST
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("interrupted; all that was started has ended")
