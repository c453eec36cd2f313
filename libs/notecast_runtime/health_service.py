"""Serves `grpc.health.v1.Health`, as its proto and gRPC's doc/health-checking.md define it.

The servicer of grpcio-health-checking writes to a watcher while it holds the lock that setting a
status needs. So one client that reads nothing would stop them all.
"""

from __future__ import annotations  # some types of grpc take parameters only for checkers

from typing import Any

from grpc import StatusCode, aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import (  # type: ignore[attr-defined]  # the stubs know no List
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)

from notecast_runtime.health import Health
from notecast_runtime.standard_streams import StandardStreams

Context = aio.ServicerContext[Any, Any]


class HealthServicer(health_pb2_grpc.HealthServicer):
    """Answers clients; each watcher is served by its own call, at the pace of its client.

    Args:
        health: the statuses to report.
        streams: bounds the watches.
    """

    def __init__(self, health: Health, streams: StandardStreams) -> None:
        self._health = health
        self._streams = streams

    async def Check(self, request: HealthCheckRequest, context: Context) -> HealthCheckResponse:
        """Returns the status of a name; NOT_FOUND if it is unknown."""
        status = self._health.status(request.service)
        if status is None:
            await context.abort(StatusCode.NOT_FOUND, "no such service")
        return HealthCheckResponse(status=status)

    async def List(
        self,
        request: HealthListRequest,  # noqa: ARG002 - the interface's
        context: Context,  # noqa: ARG002
    ) -> HealthListResponse:
        """Returns the statuses of all names."""
        statuses = self._health.statuses()
        return HealthListResponse(
            statuses={name: HealthCheckResponse(status=status) for name, status in statuses.items()}
        )

    async def Watch(self, request: HealthCheckRequest, context: Context) -> None:
        """Streams the status of a name, now and after each change; SERVICE_UNKNOWN if unknown.

        A client that reads slowly is only sent the latest status.

        Raises:
            NotecastError: see `StandardStreams.place`.
        """
        async with self._streams.place(context):
            sent = None
            while True:
                changed = self._health.changed
                status = self._health.status(request.service)
                if status is None:
                    status = HealthCheckResponse.SERVICE_UNKNOWN
                if status == sent:
                    await changed.wait()
                else:
                    await context.write(HealthCheckResponse(status=status))
                    sent = status
