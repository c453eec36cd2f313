"""Whether the connections of this process lead to the primary, and what happens when not.

After a failover the old primary may live on as a replica: it keeps its connections, answers
reads with data that grow old, and takes subscriptions that hear nothing. One connection that
finds it out is enough for all to be replaced.
"""

from collections.abc import Callable

import structlog

from notecast_runtime.keyspace import WRITE_PROBE_KEY
from notecast_runtime.redis.layout import Ask
from notecast_runtime.redis.refusals import ELSEWHERE, READ_ONLY, Refusal, RefusedError, refusal_of

WRITE_PROBE = ("SETRANGE", WRITE_PROBE_KEY, 0, "")
"""Writes nothing, as the key is never there; and is refused where any write would be, also for
lack of memory."""

_REPLICA = b"role:slave"

_log = structlog.get_logger(__name__)


class PrimaryWatch:
    """Shared by all connections of a process to one Redis.

    Attributes:
        generation: grows each time when the connections that were made before have to end.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._listeners: list[Callable[[RefusedError], None]] = []

    def on_lost(self, listener: Callable[[RefusedError], None]) -> None:
        """Has the listener called each time `generation` grows. It must not raise."""
        self._listeners.append(listener)

    def lost(self, generation: int, error: RefusedError) -> None:
        """Says that a connection leads to the wrong server: all that are as old are to end.

        Args:
            generation: as it was before that connection was made.
            error: what the server said.
        """
        if generation != self.generation:
            return  # it was found out already
        self.generation += 1
        _log.warning("redis_primary_lost", reason=error.refusal.reason, error=str(error))
        for listener in self._listeners:
            listener(error)

    def replaced(self) -> None:
        """Says that a new connection leads to another server: all that were made before are to end.

        Whoever sees it on a connection of its own that is being made may go on with that one.
        """
        self.lost(self.generation, RefusedError(ELSEWHERE, "another run of Redis answers by now"))

    async def check(self, ask: Ask) -> None:
        """Makes sure that a new connection leads to a primary.

        One that is short of memory, disk or replicas is none the less the right one.

        Args:
            ask: speaks to Redis.

        Raises:
            RefusedError: it leads to a replica, or to a server that says it's the wrong one.
        """
        written, replication = await ask([WRITE_PROBE, ("INFO", "replication")])
        for answer in (written, replication):
            refusal = refusal_of(answer)
            if refusal is not None and refusal.elsewhere:
                raise RefusedError(refusal, answer)
        if isinstance(replication, bytes) and _REPLICA in replication.splitlines():
            raise RefusedError(READ_ONLY, "its role is that of a replica")


def refused(answer: object) -> RefusedError | None:
    """The end of a connection on which this answer came; None where it may go on."""
    refusal: Refusal | None = refusal_of(answer)
    return RefusedError(refusal, answer) if refusal and refusal.elsewhere else None
