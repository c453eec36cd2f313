"""Leases: they say which replica persists which partition for now.

They only save replicas from doing the same work; correctness does not depend on them. A replica
that persists without a lease, or that has lost it without knowing, does no harm (see persist.lua).
So a lease may be taken over at any moment, and needs no fencing.
"""

import os
import secrets
import socket
from collections.abc import Mapping
from typing import NamedTuple

import structlog

from history.failing import Failing
from history.lease_balancing import leases_to_take
from history.scripts import LuaScript, ScriptCall
from notecast_runtime.keyspace import PARTITIONS, lease_key
from notecast_runtime.redis.client import Redis

_RENEWALS_PER_LEASE = 3
_SHORTEST_WAIT_SECONDS = 0.01

_log = structlog.get_logger(__name__)


def replica_name() -> str:
    """Makes a name for this process that no other one ever had; it says where the process runs."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Holding(NamedTuple):
    """The leases of a replica for now."""

    partitions: frozenset[int]

    renew_seconds: float
    """Seconds until the next renewal; less than usual if another replica's lease expires sooner."""


class _Lease(NamedTuple):
    holder: str
    left_seconds: float


class Leases:
    """Takes and renews the leases of one replica.

    Args:
        redis: where the leases are.
        replica: this replica's name; see `replica_name`.
        lease_seconds: how long a lease lasts without renewal, by Redis's clock.
    """

    def __init__(self, redis: Redis, *, replica: str, lease_seconds: float) -> None:
        self._replica = replica
        self._lease_milliseconds = round(lease_seconds * 1000)
        self._renew_seconds = lease_seconds / _RENEWALS_PER_LEASE
        self._script = LuaScript(redis, "lease.lua")
        self._give_up = LuaScript(redis, "give_up.lua")
        self._held: frozenset[int] = frozenset()
        self._failing = Failing("lease_failed")

    async def renew(self) -> Holding:
        """Renews its leases, takes free ones, and takes over what it lacks of its share.

        Raises one of REDIS_AWAY if Redis does not answer.

        Raises:
            AllRefusedError: Redis takes no writes.
        """
        leases = await self._ask(dict.fromkeys(range(PARTITIONS), ""))
        holders = {partition: lease.holder for partition, lease in leases.items()}
        leases |= await self._ask(leases_to_take(holders, self._replica))
        held = frozenset(n for n, lease in leases.items() if lease.holder == self._replica)
        if held != self._held:
            _log.info("leases_changed", held=len(held), replica=self._replica)
            self._held = held
        self._failing.tell()
        others = [leases[n].left_seconds for n in leases.keys() - held]
        wait = min([self._renew_seconds, *others])
        return Holding(held, max(wait, _SHORTEST_WAIT_SECONDS))

    async def give_up(self) -> None:
        """Gives up all its leases at once, for the other replicas.

        Raises one of REDIS_AWAY if Redis does not answer; the leases then expire.
        """
        await self._give_up.run([ScriptCall([lease_key(n)], [self._replica]) for n in self._held])
        self._held = frozenset()

    async def _ask(self, wanted: Mapping[int, str]) -> dict[int, _Lease]:
        """Asks for leases; takes over those whose holder is the one given with them."""
        answers = await self._script.run(
            [
                ScriptCall([lease_key(n)], [self._replica, self._lease_milliseconds, holder])
                for n, holder in wanted.items()
            ]
        )
        return {n: self._lease(n, answer) for n, answer in zip(wanted, answers, strict=True)}

    def _lease(self, partition: int, answer: object) -> _Lease:
        if isinstance(answer, list):
            self._failing.ended(partition)
            holder, milliseconds = answer
            return _Lease(holder.decode(), milliseconds / 1000)
        # A lease that fails must not keep its partition from being persisted.
        self._failing.failed(partition, str(answer))
        return _Lease(self._replica, self._renew_seconds)
