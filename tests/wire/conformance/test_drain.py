"""A server that stops under load ends what it took, refuses the rest, and so fails no call."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self

import pytest

import notecast_wire
from tests.support.envoy import envoy_before
from tests.support.interop_service import InteropService
from tests.support.waiting import eventually
from tests.wire.conformance.conftest import GoTool
from tests.wire.conformance.loads import Load, grpc_go, grpc_python

# What builds the client in Go has a limit of its own.
pytestmark = pytest.mark.timeout(60, func_only=True)

_GRACE_SECONDS = 10.0
# Several rounds of the streams, which take 0.2 s.
_CALLS = 200


class Replica:
    """One of two servers of the same service."""

    def __init__(self) -> None:
        self.service = InteropService()
        self._server = notecast_wire.server()
        self._server.add_generic_rpc_handlers((self.service.handler(),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    async def stop(self, grace: float | None) -> None:
        """As an operator does."""
        await self._server.stop(grace)

    async def __aenter__(self) -> Self:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    def has_begun(self, calls: int) -> bool:
        """Whether it took so many calls, some of which are still going on."""
        return self.service.begun.total() >= calls and self.service.running > 0


MakeLoad = Callable[[str], AbstractAsyncContextManager[Load]]
"""Calls servers, whose addresses are given with commas between, and begins with the first."""


@pytest.fixture(params=["grpc-python", "grpc-go", "Envoy"])
async def make_load(request: pytest.FixtureRequest, tmp_path: Path) -> MakeLoad:
    match request.param:
        case "grpc-go":
            build: GoTool = request.getfixturevalue("go_tool")
            return partial(grpc_go, await asyncio.to_thread(build, "client"))
        case "grpc-python":
            return lambda targets: grpc_python(f"ipv4:{targets}")
        case _:
            return partial(_through_envoy, folder=tmp_path)


@asynccontextmanager
async def _through_envoy(targets: str, folder: Path) -> AsyncIterator[Load]:
    async with envoy_before(targets.split(","), folder) as envoy, grpc_python(envoy) as load:
        yield load


async def test_a_server_that_stops_under_load_fails_no_call(make_load: MakeLoad) -> None:
    async with Replica() as first, Replica() as second:
        targets = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        async with make_load(targets) as load:
            await eventually(lambda: first.has_begun(_CALLS), "the first server is busy")
            async with asyncio.timeout(_GRACE_SECONDS / 2):
                await first.stop(_GRACE_SECONDS)
            taken = first.service.begun.total()
            before = second.service.begun.total()
            await eventually(
                lambda: second.has_begun(before + _CALLS), "the second server has taken over"
            )
        assert load.statuses.keys() == {"OK"}
        assert load.statuses.total() == taken + second.service.begun.total()
        assert {how for _, how in first.service.ended} == {"finished"}
        assert first.service.running == 0
        assert first.service.begun.total() == taken
