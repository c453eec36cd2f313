"""Every client that people use for gRPC calls the server, and gets what the call owes it."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from tests.support import raw_http2 as raw
from tests.support.envoy import envoy_before
from tests.support.interop_service import InteropService, messages
from tests.support.waiting import eventually
from tests.support.wire_serving import serving
from tests.wire.conformance.clients import (
    AioClient,
    Client,
    GoClient,
    Grpcurl,
    Outcome,
    SyncClient,
)
from tests.wire.conformance.conftest import GoTool

# What builds the clients in Go has a limit of its own.
pytestmark = pytest.mark.timeout(60, func_only=True)

CLIENTS = ("grpc.aio", "grpc-python", "grpc-go", "grpcurl", "Envoy")

_UNARY = Outcome(answered=1, size=40_000, status="OK")
_STREAM = Outcome(answered=10, size=10_000, status="OK")


@pytest.fixture
def service() -> InteropService:
    return InteropService()


@pytest.fixture
async def target(service: InteropService) -> AsyncIterator[str]:
    async with serving(service.handler()) as target:
        yield target


@pytest.fixture(params=CLIENTS)
async def client(
    request: pytest.FixtureRequest, target: str, tmp_path: Path
) -> AsyncIterator[Client]:
    async with _client(request, request.param, target, tmp_path) as client:
        yield client


@asynccontextmanager
async def _client(
    request: pytest.FixtureRequest, name: str, target: str, folder: Path
) -> AsyncIterator[Client]:
    match name:
        case "grpc.aio":
            yield AioClient(target)
        case "grpc-python":
            yield SyncClient(target)
        case "Envoy":
            async with envoy_before([target], folder) as envoy:
                yield AioClient(envoy)
        case _:
            build: GoTool = request.getfixturevalue("go_tool")
            program = await asyncio.to_thread(build, "client" if name == "grpc-go" else "grpcurl")
            yield GoClient(program, target) if name == "grpc-go" else Grpcurl(program, target)


async def test_a_unary_call_is_answered(client: Client) -> None:
    assert await client.run("unary") == _UNARY


async def test_a_stream_brings_all_its_messages(client: Client) -> None:
    assert await client.run("stream") == _STREAM


async def test_a_client_that_leaves_ends_its_call(client: Client, service: InteropService) -> None:
    seen = await client.run("cancel")
    assert seen.status == "CANCELLED"
    await _is_cancelled(service)


async def test_a_deadline_ends_the_call_on_both_sides(
    client: Client, service: InteropService
) -> None:
    seen = await client.run("deadline")
    assert seen.status == "DEADLINE_EXCEEDED"
    await _is_cancelled(service)


async def _is_cancelled(service: InteropService) -> None:
    await eventually(lambda: service.begun and not service.running, "the call has ended")
    assert service.ended == {("StreamingOutputCall", "cancelled"): 1}


@pytest.mark.parametrize("make", [AioClient, SyncClient])
async def test_grpc_pythons_compressed_messages_are_read(
    make: type[AioClient] | type[SyncClient], target: str
) -> None:
    client = make(target, grpc.Compression.Gzip)
    assert await client.run("unary") == _UNARY
    assert await client.run("stream") == _STREAM


async def test_grpc_gos_compressed_messages_are_read(target: str, go_tool: GoTool) -> None:
    client = GoClient(await asyncio.to_thread(go_tool, "client"), target)
    assert await client.run("unary_gzip") == _UNARY
    assert await client.run("stream_gzip") == _STREAM
    assert await client.run("client_stream_gzip") == Outcome(1, 400_000, "OK")


async def test_compressed_answers_are_compressed_and_every_client_reads_them(
    service: InteropService, go_tool: GoTool
) -> None:
    program = await asyncio.to_thread(go_tool, "client")
    async with serving(service.handler(), compression=grpc.Compression.Gzip) as target:
        for client in (AioClient(target), SyncClient(target), GoClient(program, target)):
            assert await client.run("unary") == _UNARY
            assert await client.run("stream") == _STREAM
        frames = await asyncio.to_thread(_answer_frames, target)
    (data,) = [frame.payload for frame in frames if frame.kind == raw.DATA]
    assert data[0] == 1
    assert messages.SimpleResponse.FromString(gzip.decompress(data[5:])).payload.body == bytes(9000)


def _answer_frames(target: str) -> list[raw.Frame]:
    """All that comes for a call whose client takes gzip."""
    block = raw.request(
        "/grpc.testing.TestService/UnaryCall", (b"grpc-accept-encoding", b"identity,gzip")
    )
    request = messages.SimpleRequest(response_size=9000).SerializeToString()
    frames: list[raw.Frame] = []
    with raw.RawConnection(int(target.rpartition(":")[2])) as connection:
        connection.open()
        connection.send(raw.headers(1, block) + raw.data(1, raw.message(request), end=True))
        while not any(frame.stream_id and frame.flags & raw.END_STREAM for frame in frames):
            frames += connection.frames(1.0)
    return frames
