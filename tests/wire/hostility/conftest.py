"""The server that all attacks are on: what one leaves behind, the next finds."""

from collections.abc import Iterator

import pytest

from tests.wire.hostility.victim import Victim, victim


@pytest.fixture(scope="package")
def server() -> Iterator[Victim]:
    with victim() as running:
        yield running
