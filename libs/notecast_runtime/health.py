"""What the health service answers: alive as long as the process serves, ready while all works.

grpc.health.v1 asks by name. `liveness` is SERVING from start to end whatever the
dependencies do (else a restart of Redis would restart every pod); `readiness`, the
empty name and the names of the services are SERVING while every condition holds.
"""

from collections.abc import Iterable

import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

LIVENESS = "liveness"
READINESS = "readiness"

_STATUS = health_pb2.HealthCheckResponse

_log = structlog.get_logger(__name__)


class Health:
    """Gathers the conditions of readiness and keeps the health servicer told.

    Args:
        services: the full names of the gRPC services whose health is the readiness.
        conditions: the names of what must hold, none of which does at first.
    """

    def __init__(self, services: Iterable[str], conditions: Iterable[str]) -> None:
        self.servicer = health_aio.HealthServicer()
        self._names = ("", READINESS, *services)
        self._conditions = dict.fromkeys(conditions, False)
        self._ready: bool | None = None

    @property
    def ready(self) -> bool:
        """Whether every condition holds."""
        return all(self._conditions.values())

    async def start(self) -> None:
        """Begins to answer: alive, and not ready before the conditions were reported."""
        await self.servicer.set(LIVENESS, _STATUS.SERVING)
        await self._publish()

    async def report(self, condition: str, *, holds: bool) -> None:
        """Says whether a condition holds now; KeyError for one that was not announced."""
        if self._conditions[condition] == holds:
            return
        self._conditions[condition] = holds
        _log.info("condition_changed", condition=condition, holds=holds)
        await self._publish()

    async def stop(self) -> None:
        """Not ready any more, whatever is reported from now on; still alive."""
        self._conditions["serving"] = False
        await self._publish()

    async def _publish(self) -> None:
        if self.ready == self._ready:
            return
        self._ready = self.ready
        for name in self._names:
            await self.servicer.set(name, _STATUS.SERVING if self.ready else _STATUS.NOT_SERVING)
