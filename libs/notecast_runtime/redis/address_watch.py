"""Notices that Redis's address leads elsewhere by now, though no connection has ended."""

import asyncio
import random

import structlog

from notecast_runtime.redis.client import REDIS_AWAY, RedisError
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.refusals import refusal_of, words_for
from notecast_runtime.tasks import not_cancelled

_SHORTEST_PAUSE_SECONDS = 1.5
_LONGEST_PAUSE_SECONDS = 2.0
"""Drawn anew each time, so that processes that began together don't stay in step."""

_DEADLINE_SECONDS = 2.0
"""Of one look: the next one may find its way where this one hangs. (One that waits for the host's
addresses asks no second time: `name_lookup`.)"""

_log = structlog.get_logger(__name__)


class AddressWatch:
    """Makes a new connection again and again, only to see where it leads; `run` is its life.

    Where an address is turned and the old server lives on and takes writes, connections of before
    go on as if nothing had happened, and what is sent over them is lost.

    Args:
        connector: makes the connections.
    """

    def __init__(self, connector: RedisConnector) -> None:
        self._connector = connector
        self._refused: str | None = None

    async def run(self) -> None:
        """Looks until cancelled, whatever comes of it.

        A Redis that is away is told of by whoever needs it.
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
        """Has the guard see to it where the address leads to another run of Redis.

        One that passes it has all connections of before replaced. One that does not is told of,
        once for each reason, until the address leads to a good one. Connections of before stay
        then: it may be a replica behind a faulty proxy.

        Raises:
            TimeoutError: it was not seen in time where the address leads.
            As `RedisConnector.open`: for all else.
        """
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                elsewhere = await self._connector.leads_elsewhere()
        except RedisError as error:
            if refusal_of(error):  # else it is away
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
