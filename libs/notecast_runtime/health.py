"""The state that the health service reports: liveness and readiness.

grpc.health.v1 asks by name. `liveness` is SERVING from start to end, whatever dependencies do:
otherwise a restart of Redis would restart every pod. `readiness`, the empty name and the names of
the services are SERVING while every condition holds.
"""

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from grpc_health.v1 import health_pb2

LIVENESS = "liveness"
READINESS = "readiness"

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

_log = structlog.get_logger(__name__)


class Health:
    """Collects the conditions of readiness.

    A report is an assignment: it never waits for the clients that watch it.

    Args:
        services: the full names of the gRPC services whose health is the readiness.
        conditions: the names of the conditions; none holds at first.
    """

    def __init__(self, services: Iterable[str], conditions: Iterable[str]) -> None:
        self._names = ("", READINESS, *services)
        self._conditions = dict.fromkeys(conditions, False)
        self._reasons: dict[str, str] = {}
        self._changed = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether every condition holds."""
        return all(self._conditions.values())

    @property
    def changed(self) -> asyncio.Event:
        """Set when `ready` changes next. Get it before reading the statuses."""
        return self._changed

    def status(self, name: str) -> int | None:
        """The status of a name; None if it is unknown."""
        return self.statuses().get(name)

    def statuses(self) -> Mapping[str, int]:
        """The statuses of all names."""
        readiness = _SERVING if self.ready else _NOT_SERVING
        return {**dict.fromkeys(self._names, readiness), LIVENESS: _SERVING}

    def report(self, condition: str, *, holds: bool, reason: str = "") -> None:
        """Sets whether a condition holds, and why not; logs a change.

        Args:
            condition: its name; KeyError if it was not given at the start.
            holds: whether it holds.
            reason: why it does not hold; "" if unknown.
        """
        if (self._conditions[condition], self._reasons.get(condition, "")) == (holds, reason):
            return
        self._reasons[condition] = reason
        why = {"reason": reason} if reason else {}
        _log.info("condition_changed", condition=condition, holds=holds, **why)
        self._set(condition, holds=holds)

    def stop(self) -> None:
        """Makes it not ready for good, whatever is reported from now on; still alive."""
        self._set("serving", holds=False)

    def _set(self, condition: str, *, holds: bool) -> None:
        before = self.ready
        self._conditions[condition] = holds
        if self.ready != before:
            self._changed.set()
            self._changed = asyncio.Event()
