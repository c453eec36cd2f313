"""Asking a server for its health, and waiting for it."""

from typing import Any

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.waiting import eventually


async def health_of(target: str, service: str = "readiness") -> str:
    """The status by its name, or the code of the error that came instead."""
    async with aio.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=2)
        except aio.AioRpcError as error:
            code: grpc.StatusCode = error.code()
            return code.name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def wait_until_serving(
    target: str, service: str = "readiness", seconds: float = 10.0
) -> None:
    """Returns once the server says SERVING."""
    await wait_for_health(target, "SERVING", service, seconds)


async def wait_for_health(
    target: str, status: str, service: str = "readiness", seconds: float = 10.0
) -> None:
    """Returns once the server says the status."""

    async def says() -> bool:
        return await health_of(target, service) == status

    await eventually(says, f"{target} says {status} for {service!r}", seconds)
