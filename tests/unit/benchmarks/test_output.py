"""The table, the record and the plot, of figures that were never measured."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.cases import HUB, WIRE, named
from benchmarks.figures import Results, figures_of
from benchmarks.load_program import Spread, Usage
from benchmarks.plan import FULL
from benchmarks.plot import write_plot
from benchmarks.records import record_of, write_record
from benchmarks.tables import figures_table, goals_table, remarks
from tests.unit.benchmarks.reports import report

CASES = named("hot-room")
MACHINE = {"cpu": "a processor", "cores": "2", "date": "2026-01-02T03:04:05+00:00"}


def results(lost: int = 0, delivered: int = 300_000) -> Results:
    (case,) = CASES
    ours = report(delivered=delivered, lost=lost, processes={"gateway": Usage(0.5, (0, 0))})
    hub = report(delivered=300_000, processes={"server": Usage(1.5, (0, 0))})
    return {
        (case.name, WIRE): figures_of(case, WIRE, [ours]),
        (case.name, HUB): figures_of(case, HUB, [hub]),
    }


def printed(table: Table) -> list[list[str]]:
    console = Console(width=150)
    with console.capture() as capture:
        console.print(table)
    return [line.split() for line in capture.get().splitlines()]


def test_a_row_has_the_ratio_to_the_hub_and_what_it_must_be() -> None:
    rows = printed(figures_table(CASES, results()))
    (ours,) = [row for row in rows if row[:2] == ["hot-room", WIRE]]
    assert ours[2:7] == ["150,000", "600,000", "3.00", "3.0", "3.00"]


def test_a_row_says_that_notes_were_lost() -> None:
    rows = printed(figures_table(CASES, results(lost=1_234)))
    (ours,) = [row for row in rows if row[:2] == ["hot-room", WIRE]]
    assert "1,234" in ours


def test_what_makes_figures_mean_something_else_is_remarked() -> None:
    assert remarks(results()) == []
    (behind,) = remarks(results(delivered=1_000))
    assert behind == "hot-room on wire: falls behind, so that this is its limit"
    (case,) = CASES
    strained = report(
        delivered=300_000,
        load_cpu_seconds=1.9,
        machine_cpu_seconds=4.7,
        late=Spread(0, 12, 0),
        failed=7,
    )
    (remark,) = remarks({(case.name, WIRE): figures_of(case, WIRE, [strained])})
    assert remark == (
        "hot-room on wire: load at its limit, load 12 ms late,"
        " 1.0 cores were busy with something else, 7 sends failed"
    )


def test_goals_that_were_measured_say_whether_they_are_reached() -> None:
    rows = [" ".join(row) for row in printed(goals_table(results()))]
    assert "hot-room: wire, times the hub 3.00 x ≥ 3.00 x 6.00 x reached" in rows
    assert not any("idle" in row for row in rows)
    slower = [" ".join(row) for row in printed(goals_table(results(delivered=290_000)))]
    assert "hot-room: wire, times the hub 2.90 x ≥ 3.00 x 6.00 x not reached" in slower


def test_the_record_holds_the_machine_the_figures_and_the_goals(tmp_path: Path) -> None:
    path = tmp_path / "new" / "full.json"
    write_record(record_of(MACHINE, FULL, CASES, results()), path)
    record = json.loads(path.read_text())
    assert record["machine"] == MACHINE
    assert [(each["case"], each["server"]) for each in record["figures"]] == [
        ("hot-room", WIRE),
        ("hot-room", HUB),
    ]
    (goal,) = [each for each in record["goals"] if each["name"] == "hot-room: wire, times the hub"]
    assert (goal["measured"], goal["at_least"]) == (3.0, 3.0)


def test_the_plot_names_cases_servers_and_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "full.svg"
    write_plot(CASES, results(), MACHINE, path)
    text = path.read_text()
    for word in ("<svg", "hot-room", "wire", "hub", "must reach", "a processor, 2 cores"):
        assert word in text


def test_the_same_figures_make_the_same_plot(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_plot(CASES, results(), MACHINE, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_run_without_the_hub_has_a_plot_that_shows_nothing(tmp_path: Path) -> None:
    write_plot(CASES, {}, MACHINE, tmp_path / "empty.svg")
    assert "<svg" in (tmp_path / "empty.svg").read_text()
