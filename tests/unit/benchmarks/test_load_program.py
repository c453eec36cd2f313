import json
from typing import Any

import pytest

from benchmarks.cases import named
from benchmarks.errors import LoadError
from benchmarks.load_program import LoadReport, Spread, Usage, load_arguments
from benchmarks.plan import QUICK
from benchmarks.servers import Server

PRINTED: dict[str, Any] = {
    "streams": 500,
    "seconds": 2.0,
    "sent": 600,
    "failed": 1,
    "delivered": 300_000,
    "ended": 2,
    "lost": 3,
    "repeated": 4,
    "behind": 5,
    "delay_ms": {"p50": 1.0, "p99": 2.0, "max": 3.0},
    "late_ms": {"p50": 0.1, "p99": 0.2, "max": 0.3},
    "join_ms": {"p50": 0, "p99": 0, "max": 0},
    "load_cpu_seconds": 0.7,
    "machine_cpu_seconds": 2.5,
    "processes": [
        {
            "name": "gateway",
            "cpu_seconds": 1.5,
            "resident_before_bytes": 10,
            "resident_after_bytes": 20,
        }
    ],
}


def test_a_report_is_read_as_it_was_printed() -> None:
    report = LoadReport.from_json(json.dumps(PRINTED))
    assert (report.delivered, report.ended, report.lost, report.repeated) == (300_000, 2, 3, 4)
    assert report.delay == Spread(1, 2, 3)
    assert report.processes == {"gateway": Usage(1.5, (10, 20))}


def test_a_server_without_known_processes_has_none_in_its_report() -> None:
    assert LoadReport.from_json(json.dumps(PRINTED | {"processes": None})).processes == {}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"streams": 1}'])
def test_what_is_no_report_is_an_error_of_the_load(text: str) -> None:
    with pytest.raises(LoadError, match="printed no report"):
        LoadReport.from_json(text)


def test_the_load_is_told_where_to_go_and_what_to_measure() -> None:
    (case,) = named("hot-room")
    server = Server("wire", ("127.0.0.1:1", "127.0.0.1:2"), {"gateway": (7, 8), "redis": (9,)})
    arguments = load_arguments(case, server, QUICK)
    assert "-addr=127.0.0.1:1,127.0.0.1:2" in arguments
    assert "-pids=gateway=7+8,redis=9" in arguments
    assert "-rate=300" in arguments
    assert "-check" in arguments
