"""The operator's page speaks of what there is."""

import re
from pathlib import Path

from chat_gateway.rooms.head_check import CONDITIONS as GATEWAY_CONDITIONS
from history.persist_worker import PERSISTING, REDIS
from history.retention import RETENTION

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
CONDITIONS = {*GATEWAY_CONDITIONS, REDIS, PERSISTING, RETENTION}
SOURCES = ("libs", "services", "deploy/local")


def section(page: str, title: str) -> str:
    """The text under a heading, with what is under its subheadings."""
    begin = re.search(rf"^(#+) {re.escape(title)}$", page, re.MULTILINE)
    assert begin, title
    rest = page[begin.end() :]
    end = re.search(rf"^#{{1,{len(begin[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """The cells of the tables' rows, without headings."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_failure_of_the_guarantees_has_its_row_in_the_runbook() -> None:
    guarantees = (DOCS / "guarantees.md").read_text()
    failures = [row[0] for row in rows(section(guarantees, "Failures, one by one"))[1:]]
    runbook = rows(section((DOCS / "operations.md").read_text(), "Runbook"))
    told = {row[0] for row in runbook}
    assert [failure for failure in failures if failure not in told] == []


def test_every_condition_of_health_is_told_of() -> None:
    page = (DOCS / "operations.md").read_text()
    told = {row[0] for row in rows(section(page, "Ports, probes, exit codes"))}
    assert {f"`{name}`" for name in CONDITIONS} <= told


def test_every_event_that_the_page_names_is_logged_by_the_code() -> None:
    page = (DOCS / "operations.md").read_text()
    alerts = [row[0].partition(" with ")[0] for row in rows(section(page, "What to alert on"))]
    events = {event for alert in alerts for event in _names(alert)}
    events |= {event for row in rows(section(page, "Runbook")) for event in _events_in(row[1])}
    assert len(events) > 10
    logged = set()
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.py"):
            found = re.findall(
                r"(?:_log\.\w+|_fail|_tell|Failing)\(\s*\"([a-z_]+)\"", path.read_text()
            )
            logged.update(found)
    assert events - logged == set()


def test_every_file_and_target_that_the_page_names_exists() -> None:
    page = (DOCS / "operations.md").read_text()
    paths = re.findall(r"\]\((?!http|#)([^)#]+)", page)
    assert [path for path in paths if not (DOCS / path).exists()] == []
    targets = set(re.findall(r"`make ([a-z0-9-]+)", page))
    makefile = (ROOT / "Makefile").read_text()
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def _names(cell: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", cell)


def _events_in(cell: str) -> list[str]:
    return [name for name in _names(cell) if "_" in name and name not in CONDITIONS]
