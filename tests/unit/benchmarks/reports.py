"""Reports of a load generator that never ran."""

from dataclasses import replace

from benchmarks.load_program import LoadReport, Spread, Usage

NOTHING = Spread(0, 0, 0)

REPORT = LoadReport(
    streams=11,
    seconds=2.0,
    sent=20,
    failed=0,
    delivered=200,
    ended=0,
    lost=0,
    repeated=0,
    behind=0,
    delay=Spread(1, 5, 9),
    late=Spread(0, 0.5, 1),
    join=NOTHING,
    load_cpu_seconds=0.5,
    machine_cpu_seconds=1.4,
    processes={"gateway": Usage(0.5, (1_000, 11_000)), "redis": Usage(0.3, (0, 0))},
)
"""Of a server that kept up with 100 deliveries a second."""


def report(**changes: object) -> LoadReport:
    return replace(REPORT, **changes)  # type: ignore[arg-type]
