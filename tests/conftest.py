"""Fixtures that every test may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.valkey import ValkeyProcess


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """An empty Valkey, alone for this test."""
    with ValkeyProcess(tmp_path / "valkey") as process:
        yield process
