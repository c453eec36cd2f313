"""Servicers made for `grpc.aio` servers, on this one, unchanged."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import StatusCode, aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

import notecast_wire
from tests.wire.calls.serving import status_of

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def channel() -> AsyncIterator[aio.Channel]:
    server = notecast_wire.server()
    servicer = health.aio.HealthServicer()
    await servicer.set("tests", SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection(("grpc.health.v1.Health",), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as made:
        yield made
    await server.stop(None)


async def test_health_is_answered(channel: aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service="tests"), timeout=20)
    assert answer.status == SERVING
    unknown = health_pb2.HealthCheckRequest(service="unknown")
    assert (await status_of(stub.Check(unknown, timeout=20)))[0] is StatusCode.NOT_FOUND


async def test_health_is_watched() -> None:
    server = notecast_wire.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=20)
        assert (await watch.read()).status == SERVING
        await servicer.enter_graceful_shutdown()
        assert (await watch.read()).status == NOT_SERVING
    await server.stop(None)


async def test_reflection_tells_of_the_services(channel: aio.Channel) -> None:
    make: Any = reflection_pb2_grpc.ServerReflectionStub  # its stubs know blocking channels alone
    stub = make(channel)

    async def questions() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        yield reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health")

    answers = [answer async for answer in stub.ServerReflectionInfo(questions(), timeout=20)]
    names = [service.name for service in answers[0].list_services_response.service]
    assert names == ["grpc.health.v1.Health"]
    assert len(answers[1].file_descriptor_response.file_descriptor_proto) == 1


async def test_a_stub_of_threads_works_with_generated_code() -> None:
    server = notecast_wire.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as threads:
        stub: Any = health_pb2_grpc.HealthStub(threads)
        request = health_pb2.HealthCheckRequest(service="")
        answer = await asyncio.to_thread(lambda: stub.Check(request, timeout=20))
    assert answer.status == SERVING
    await server.stop(None)
