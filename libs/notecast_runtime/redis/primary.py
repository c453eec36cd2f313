"""Watches whether this process's connections lead to the primary, and replaces them if not.

After a failover the old primary may live on as a replica. It keeps its connections, answers reads
with stale data, and accepts subscriptions that receive nothing. If one connection finds out, all
are replaced.
"""

from collections.abc import Callable

import structlog

from notecast_runtime.keyspace import WRITE_PROBE_KEY
from notecast_runtime.redis.layout import Ask
from notecast_runtime.redis.refusals import ELSEWHERE, READ_ONLY, Refusal, RefusedError, refusal_of

WRITE_PROBE = ("SETRANGE", WRITE_PROBE_KEY, 0, "")
"""Writes nothing, because the key never exists. Redis refuses it whenever it refuses writes, also
for lack of memory."""

_REPLICA = b"role:slave"

_log = structlog.get_logger(__name__)


class PrimaryWatch:
    """Shared by all connections of a process to one Redis.

    Attributes:
        generation: increases each time all existing connections must end.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._listeners: list[Callable[[RefusedError], None]] = []

    def on_lost(self, listener: Callable[[RefusedError], None]) -> None:
        """Calls the listener each time `generation` increases. It must not raise."""
        self._listeners.append(listener)

    def lost(self, generation: int, error: RefusedError) -> None:
        """Reports that a connection leads to the wrong server: all of its generation must end.

        Args:
            generation: the generation before that connection was made.
            error: the server's answer.
        """
        if generation != self.generation:
            return  # known already
        self.generation += 1
        _log.warning("redis_primary_lost", reason=error.refusal.reason, error=str(error))
        for listener in self._listeners:
            listener(error)

    def replaced(self) -> None:
        """Reports that a new connection leads to another server: all earlier ones must end.

        The caller may keep using the new connection itself.
        """
        self.lost(self.generation, RefusedError(ELSEWHERE, "another run of Redis answers now"))

    async def check(self, ask: Ask) -> None:
        """Checks that a new connection leads to a primary.

        A primary that is short of memory, disk or replicas is still the right server.

        Args:
            ask: sends commands to Redis.

        Raises:
            RefusedError: it leads to a replica, or to a server that says it is the wrong one.
        """
        written, replication = await ask([WRITE_PROBE, ("INFO", "replication")])
        for answer in (written, replication):
            refusal = refusal_of(answer)
            if refusal is not None and refusal.elsewhere:
                raise RefusedError(refusal, answer)
        if isinstance(replication, bytes) and _REPLICA in replication.splitlines():
            raise RefusedError(READ_ONLY, "its role is that of a replica")


def refused(answer: object) -> RefusedError | None:
    """The error that ends a connection with this answer; None if it may be kept."""
    refusal: Refusal | None = refusal_of(answer)
    return RefusedError(refusal, answer) if refusal and refusal.elsewhere else None
