"""The system that most inputs run against, started once for all of them."""

from collections.abc import Iterator

import pytest

from tests.support.local_stack import LocalStack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The whole system, as `make run` starts it."""
    with LocalStack(tmp_path_factory.mktemp("cases")) as running:
        yield running


@pytest.fixture(params=["envoy", "gateway"])
def door(request: pytest.FixtureRequest, stack: LocalStack) -> str:
    """Where clients come in: by Envoy, or at a gateway itself."""
    return stack.target if request.param == "envoy" else stack.gateways[0]
