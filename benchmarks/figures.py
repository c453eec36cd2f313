"""From reports to figures: what is printed, compared and kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.cases import Case, Mode
from benchmarks.load_program import LoadReport, Usage

_KEEPS_UP = 0.97
"""The share of the deliveries due that a server must make, or it falls behind."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a server in a case, over all rounds.

    Attributes:
        delivered_per_second: notes that reached a stream.
        per_cpu_second: deliveries for a CPU-second of its first part, as the gateway; None where
            its processes are not known. The median of the rounds: one that the machine had little
            time for says nothing of the server.
        per_cpu_second_whole: the same of all parts together.
        delay_p50_ms: from send to delivery; of a storm, from the start until a stream has every
            note. The median of the rounds.
        delay_p99_ms: the same.
        bytes_per_stream: memory of the first part for each idle stream; None in other cases.
        keeps_up: whether it made the deliveries that were due.
        lost: notes that a stream never got, or, of a server that kept up, not within the
            settle time.
        repeated: notes that a stream got again.
        behind: notes still to come when a round was over.
        failed: sends that failed.
        ended: streams that the server ended.
        load_cores: CPU-seconds a second of the load generator itself, the most of all rounds.
        other_cores: CPU-seconds a second of whatever else ran on the machine, the most of all
            rounds; None where the server's processes are not known.
        late_p99_ms: by how much the load generator sent late, the most of all rounds.
    """

    case: str
    server: str
    delivered_per_second: float
    per_cpu_second: float | None
    per_cpu_second_whole: float | None
    delay_p50_ms: float
    delay_p99_ms: float
    bytes_per_stream: float | None
    keeps_up: bool
    lost: int
    repeated: int
    behind: int
    failed: int
    ended: int
    load_cores: float
    other_cores: float | None
    late_p99_ms: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def figures_of(case: Case, server: str, reports: Sequence[LoadReport]) -> Figures:
    """Pools the rounds of a server in a case: at least one."""
    seconds = sum(each.seconds for each in reports)
    delivered = sum(each.delivered for each in reports)
    keeps_up = _keeps_up(case, delivered, seconds)
    behind = sum(each.behind for each in reports)
    delays = [each.join if case.mode is Mode.STORM else each.delay for each in reports]
    return Figures(
        case=case.name,
        server=server,
        delivered_per_second=delivered / seconds,
        per_cpu_second=_per_cpu_second(reports, whole=False),
        per_cpu_second_whole=_per_cpu_second(reports, whole=True),
        delay_p50_ms=median(each.p50 for each in delays),
        delay_p99_ms=median(each.p99 for each in delays),
        bytes_per_stream=_bytes_per_stream(reports) if case.mode is Mode.IDLE else None,
        keeps_up=keeps_up,
        lost=sum(each.lost for each in reports) + (behind if keeps_up else 0),
        repeated=sum(each.repeated for each in reports),
        behind=behind,
        failed=sum(each.failed for each in reports),
        ended=sum(each.ended for each in reports),
        load_cores=max(each.load_cpu_seconds / each.seconds for each in reports),
        other_cores=_other_cores(reports),
        late_p99_ms=max(each.late.p99 for each in reports),
    )


def _keeps_up(case: Case, delivered: int, seconds: float) -> bool:
    if case.mode is Mode.STORM:
        return True
    return delivered >= _KEEPS_UP * case.deliveries_per_second * seconds


def _per_cpu_second(reports: Sequence[LoadReport], *, whole: bool) -> float | None:
    of_each = []
    for report in reports:
        parts: Sequence[Usage] = list(report.processes.values())
        used = sum(part.cpu_seconds for part in (parts if whole else parts[:1]))
        if not used:
            return None
        of_each.append(report.delivered / used)
    return median(of_each)


def _other_cores(reports: Sequence[LoadReport]) -> float | None:
    if not all(report.processes for report in reports):
        return None
    return max(_other_seconds(report) / report.seconds for report in reports)


def _other_seconds(report: LoadReport) -> float:
    server = sum(part.cpu_seconds for part in report.processes.values())
    return max(0.0, report.machine_cpu_seconds - server - report.load_cpu_seconds)


def _bytes_per_stream(reports: Sequence[LoadReport]) -> float | None:
    """The load generator takes the memory with one stream before, and with all after."""
    of_each = [
        (after - before) / (report.streams - 1)
        for report in reports
        for before, after in [next(iter(report.processes.values())).resident_bytes]
        if report.streams > 1
    ]
    return median(of_each) if of_each else None


Results = Mapping[tuple[str, str], Figures]
"""Figures by the names of case and server."""
