"""Notices that Redis's address leads to another server, even if no connection has ended."""

import asyncio
import random

import structlog

from notecast_runtime.redis.client import REDIS_AWAY, RedisError
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.refusals import refusal_of, words_for
from notecast_runtime.tasks import not_cancelled

_SHORTEST_PAUSE_SECONDS = 1.5
_LONGEST_PAUSE_SECONDS = 2.0
"""Drawn for each pause, so that processes that started together don't stay in step."""

_DEADLINE_SECONDS = 2.0
"""Bound on one look: the next one may succeed where this one hangs. (A look that waits for the
host's addresses does not ask a second time: see `name_lookup`.)"""

_log = structlog.get_logger(__name__)


class AddressWatch:
    """Makes a new connection periodically, only to see where it leads, while `run` runs.

    If an address moves to another server while the old one lives on and takes writes, existing
    connections continue as if nothing had happened, and what is sent over them is lost.

    Args:
        connector: makes the connections.
    """

    def __init__(self, connector: RedisConnector) -> None:
        self._connector = connector
        self._refused: str | None = None

    async def run(self) -> None:
        """Looks until cancelled, whatever fails.

        Other parts report a Redis that is away.
        """
        while not_cancelled():
            await asyncio.sleep(random.uniform(_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS))  # noqa: S311 - jitter needs no secrecy
            try:
                await self.look()
            except (*REDIS_AWAY, RedisError) as error:
                _log.debug("address_not_seen", address=self._connector.address, error=str(error))
            except Exception:
                _log.exception("address_watch_failed")

    async def look(self) -> None:
        """Lets the guard check the server if the address leads to another run of Redis.

        If the server passes, all earlier connections are replaced. If not, it is logged, once for
        each reason, until the address leads to a good one. Earlier connections then stay: it may be
        a replica behind a faulty proxy.

        Raises:
            TimeoutError: the server did not answer in time.
            Errors of `RedisConnector.open`: anything else.
        """
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                elsewhere = await self._connector.leads_elsewhere()
        except RedisError as error:
            if refusal_of(error):  # otherwise it is away
                self._tell(error)
            raise
        if elsewhere:
            await self._have_it_checked()
        self._refused = None

    async def _have_it_checked(self) -> None:
        generation = self._connector.primary.generation
        try:
            async with self._connector.connected():
                pass
        except RedisError as error:
            if generation == self._connector.primary.generation:
                self._tell(error)
            raise

    def _tell(self, error: Exception) -> None:
        refusal = refusal_of(error)
        reason = refusal.reason if refusal else ""
        if reason == self._refused:
            return
        self._refused = reason
        _log.warning(
            "redis_address_refuses",
            address=self._connector.address,
            reason=reason,
            words=words_for(error),
            error=str(error),
        )
