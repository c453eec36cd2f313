"""The cases of gRPC's interoperability tests, with grpc-go's client for them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.interop_service import InteropService
from tests.support.waiting import eventually
from tests.support.wire_serving import serving
from tests.wire.conformance.conftest import GoTool

# What builds the client has a limit of its own.
pytestmark = pytest.mark.timeout(60, func_only=True)

CASES = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
)
"""What a server owes that has no credentials of a cloud, no load reports and no xDS."""

_CASE_SECONDS = 30


@pytest.fixture
async def service_and_target() -> AsyncIterator[tuple[InteropService, str]]:
    service = InteropService()
    async with serving(service.handler()) as target:
        yield service, target


@pytest.mark.parametrize("case", CASES)
async def test_grpc_gos_interop_client_is_content(
    case: str, go_tool: GoTool, service_and_target: tuple[InteropService, str]
) -> None:
    service, target = service_and_target
    host, port = target.split(":")
    client = await asyncio.create_subprocess_exec(
        *(str(await asyncio.to_thread(go_tool, "interop")), f"--test_case={case}"),
        *(f"--server_host={host}", f"--server_port={port}"),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_CASE_SECONDS):
            _, said = await client.communicate()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
    assert client.returncode == 0, said.decode()
    await eventually(lambda: not service.running, "nothing that the client left goes on")
