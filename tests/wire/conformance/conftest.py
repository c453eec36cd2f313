"""Programs in Go, built once a session, and a loud word where they could not be."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import go_tools

GoTool = Callable[[str], Path]
"""Gives the path of a program, by its name in `go_tools.PACKAGES`."""


@pytest.fixture(scope="session")
def go_tool() -> GoTool:
    """Builds programs on demand; skips where there is no Go, unless it must be there."""
    fault = go_tools.go_fault()
    if fault and os.environ.get("NOTECAST_REQUIRE_GO") == "1":
        pytest.fail(f"the tests with clients in Go must run here, and {fault}")
    if fault:
        pytest.skip(f"no Go to build clients with: {fault}")
    return go_tools.build


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says once more, where it is seen, that tests with clients in Go did not run."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if "no Go to build clients with" in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line("")
        terminalreporter.write_line(
            f"TESTS WITH CLIENTS IN GO DID NOT RUN ({len(skipped)} of them): install Go 1.26 or"
            " newer and run them again.",
            red=True,
            bold=True,
        )
