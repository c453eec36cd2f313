"""Removes notes that are too old. Retention by count is part of persisting."""

import asyncio
from collections.abc import Callable
from itertools import cycle
from typing import Any

import structlog

from history.history_clock import HistoryClock
from history.position_marks import PositionMarks
from history.scripts import LuaScript, ScriptCall
from notecast_runtime.backoff import Backoff
from notecast_runtime.health import Health
from notecast_runtime.keyspace import (
    PARTITIONS,
    ages_key,
    epoch_end_prefix,
    epochs_key,
    forgotten_before_key,
    forgotten_key,
    heads_key,
    log_key,
)
from notecast_runtime.log_limiter import News
from notecast_runtime.redis.client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.tasks import not_cancelled

RETENTION = "retention"
"""Condition of readiness: old notes are removed."""

_ROOMS_PER_STEP = 100
_NOTES_PER_STEP = 128
_MARKS_PER_AGE = 64
"""Marks in the age: a note is kept longer by at most one of these parts, and one sweep."""

_MOST_APART_SECONDS = 60
"""Difference of the clocks from which it is logged: all notes are kept longer by that much."""

FORGOTTEN_REMEMBERED = 1_000
"""The minimum number of forgotten rooms to remember for each partition, so that a client that has
missed nothing of them is told nothing. At most twice as many, of 82 bytes each: 11 MB in all."""

_log = structlog.get_logger(__name__)


class AgeRetention:
    """Sweeps all rooms continuously; any number of replicas may do so at once.

    Args:
        redis: where the rooms are.
        health: told with each sweep that `RETENTION` holds.
        max_age_seconds: the age that a note may reach. More than 0.
        sweep_seconds: the time for all rooms. It is spread evenly, a partition at a time.
        forgotten_remembered: the minimum number of forgotten rooms to remember for each
            partition. At least 1.
        clock: seconds since 1970. A note has an age only if it has by this clock and by Redis's.
            None: the clock of this process.
    """

    def __init__(
        self,
        redis: Redis,
        health: Health,
        *,
        max_age_seconds: float,
        sweep_seconds: float,
        forgotten_remembered: int = FORGOTTEN_REMEMBERED,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._redis = redis
        self._health = health
        self._script = LuaScript(redis, "age_retention.lua")
        self._marks = PositionMarks(
            redis,
            ages_key,
            age_seconds=max_age_seconds,
            marks_per_age=_MARKS_PER_AGE,
            clock=clock or HistoryClock().now,
        )
        self._forgotten_remembered = forgotten_remembered
        self._pause_seconds = sweep_seconds / PARTITIONS

    async def run(self) -> None:
        """Sweeps until cancelled; tries a partition that fails again in the next round."""
        backoff, faults, clocks = Backoff(), News(), News()
        for partition in cycle(range(PARTITIONS)):
            if not not_cancelled():
                return
            try:
                await self.sweep(partition)
                self._tell_of_clocks(clocks)
                self._health.report(RETENTION, holds=True)
                backoff.reset()
                faults.forget()
            except (*REDIS_AWAY, RedisError) as error:
                if faults.is_new(str(error)):
                    _log.warning("retention_failed", partition=partition, error=str(error))
                self._health.report(RETENTION, holds=False)
                await asyncio.sleep(backoff.next_delay())
            await asyncio.sleep(self._pause_seconds)

    def _tell_of_clocks(self, told: News) -> None:
        ahead = self._marks.ahead_seconds
        if abs(ahead) < _MOST_APART_SECONDS:
            told.forget()
        elif told.is_new(ahead > 0):
            _log.warning("clocks_differ", redis_is_ahead_seconds=round(ahead))

    async def sweep(self, partition: int) -> None:
        """Removes the old notes of a partition's rooms, in bounded steps.

        Raises one of REDIS_AWAY if Redis does not answer. A room that can't be trimmed is logged,
        and does not keep the others from being trimmed.
        """
        too_old = await self._too_old(partition)
        if not too_old:
            return
        cursor = 0
        while True:
            answer: Any = await self._redis.hscan(
                heads_key(partition), cursor, count=_ROOMS_PER_STEP
            )
            cursor, heads = answer
            await self._trim(partition, [room.decode() for room in heads if room], too_old)
            if cursor == 0:
                return

    async def _too_old(self, partition: int) -> bytes:
        """The outbox id up to which notes are too old; empty if that is not known yet."""
        [reached] = (await self._marks.reached([partition])).values()
        if isinstance(reached, Exception):
            raise reached
        return reached

    async def _trim(self, partition: int, rooms: list[str], too_old: bytes) -> None:
        partition_keys = (heads_key, epochs_key, forgotten_key, forgotten_before_key)
        own_keys = [key(partition) for key in partition_keys]
        prefix = epoch_end_prefix(partition)
        forgotten = 0
        while rooms:
            answers = await self._script.run(
                [
                    ScriptCall(
                        [log_key(room), *own_keys],
                        [too_old, _NOTES_PER_STEP, room, prefix, self._forgotten_remembered],
                    )
                    for room in rooms
                ]
            )
            more = []
            for room, answer in zip(rooms, answers, strict=True):
                if isinstance(answer, Exception):
                    _log.error("room_not_trimmed", room=room, error=str(answer))
                    continue
                removed, is_forgotten = answer
                forgotten += is_forgotten
                if removed:
                    _log.info("notes_retired", room=room, notes=removed)
                if removed == _NOTES_PER_STEP and not is_forgotten:
                    more.append(room)
            rooms = more
        if forgotten:
            _log.info("rooms_forgotten", partition=partition, rooms=forgotten)
