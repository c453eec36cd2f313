"""Fixtures of whole systems, and a loud word where containers could not be had."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.containers import Containers, require_engine, running_containers
from tests.support.local_stack import LocalStack
from tests.support.tutorial_client import generate_stubs

# The helper container that cleans up after testcontainers is one more image to pull; the
# fixtures clean up themselves.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A local stack that the tests of a module share; each uses rooms of its own."""
    folder = tmp_path_factory.mktemp("stack")
    with LocalStack(folder) as running:
        yield running


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    """The stack in containers, which the tests of a module share."""
    require_engine()
    with running_containers() as running:
        yield running


@pytest.fixture(scope="session")
def tutorial_stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stubs that were generated from the tutorial's own proto file."""
    folder = tmp_path_factory.mktemp("tutorial")
    generate_stubs(folder)
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to a test's failure what the stack said that it used, and each of its programs."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, LocalStack):
        report.sections += [("said by the local stack", stack.output), *stack.logs]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says once more, where it is seen, that container tests did not run."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if "containers" in report.keywords
    ]
    if skipped:
        terminalreporter.write_line("")
        terminalreporter.write_line(
            f"CONTAINER TESTS DID NOT RUN ({len(skipped)} of them): no Docker engine with"
            " compose answers. Start one and run them again.",
            red=True,
            bold=True,
        )
