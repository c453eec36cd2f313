"""Fixtures that every test may ask for."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from xdist.scheduler.loadfile import LoadFileScheduling

from tests.support.valkey import ValkeyProcess

_ONE_AFTER_THE_OTHER = ("tests/e2e/", "tests/cases/", "tests/unit/local/")
"""The tests here share what a machine has once: the engine, and the gateways' own ports."""

_OF_SMALL_FILES = ("tests/unit/", "tests/wire/fairness/", "tests/wire/http2/")
"""No file here takes long."""


class _ByFile(LoadFileScheduling):  # type: ignore[misc]
    """Has a file's tests run in one process, for they share fixtures; whole systems all in one."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "systems" if file.startswith(_ONE_AFTER_THE_OTHER) else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the small files last: processes that share the tests are done together then."""
    items.sort(key=lambda item: item.nodeid.startswith(_OF_SMALL_FILES))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFile:  # noqa: ANN401
    """How several processes share the tests (`-n`)."""
    return _ByFile(config, log)


def pytest_collection_finish() -> None:
    """Takes what the tests themselves are made of out of every later look for garbage.

    It is some 250,000 objects, which `tests/support/census.py` would go through each time that it
    looks for those of a test.
    """
    gc.collect()
    gc.freeze()


# What the tests speak to runs here; a proxy for the way out, which pip may need, is not for it.
os.environ["no_grpc_proxy"] = "127.0.0.1,localhost,::1"  # noqa: SIM112 - so gRPC calls it

# As our programs have it: a stack with source and variables, as structlog draws it where rich is
# installed, keeps services in this process for a second.
structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback

# The tests start our programs some hundred times, and each start without what Python compiled
# before takes a third longer.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture(scope="session", autouse=True)
def heeded_signals() -> Iterator[None]:
    """Makes children heed SIGINT, which whoever runs the tests in the background ignores.

    That a signal is ignored is handed on to every child, and the tests send it to theirs.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """An empty Valkey, alone for this test."""
    with ValkeyProcess(tmp_path / "valkey") as process:
        yield process
