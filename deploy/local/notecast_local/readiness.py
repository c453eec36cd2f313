"""Checks whether a child is ready. Each check has a deadline and never raises."""

import asyncio

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2
from redis.asyncio import Redis
from redis.exceptions import RedisError

from notecast_runtime.health import READINESS

_DEADLINE_SECONDS = 1.0
# A proxy of the environment is for outgoing traffic, not for this machine.
_OPTIONS = (("grpc.enable_http_proxy", 0),)


async def listens(host: str, port: int) -> bool:
    """Whether a server has begun to listen."""
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()
    except OSError:  # TimeoutError is one
        return False
    return True


async def answers_ping(host: str, port: int) -> bool:
    """Whether a Redis server answers, and has loaded its data."""
    try:
        async with Redis(
            host=host,
            port=port,
            socket_timeout=_DEADLINE_SECONDS,
            socket_connect_timeout=_DEADLINE_SECONDS,
        ) as client:
            return bool(await client.ping())
    except (RedisError, OSError):
        return False


async def serves(address: str) -> bool:
    """Whether a gRPC server, or one behind a proxy, reports that it is ready."""
    async with aio.insecure_channel(address, options=_OPTIONS) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(
                health_pb2.HealthCheckRequest(service=READINESS), timeout=_DEADLINE_SECONDS
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
