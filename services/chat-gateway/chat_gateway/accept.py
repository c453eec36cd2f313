"""Puts notes into their rooms' logs: the only place where a note gets its sequence."""

import asyncio
from collections import deque
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

import structlog
from redis.exceptions import NoScriptError

from notecast_runtime.errors import OverloadedError, RedisUnavailableError
from notecast_runtime.keyspace import (
    epoch_key,
    heads_key,
    live_channel,
    outbox_key,
    partition_of,
)
from notecast_runtime.redis_client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.tasks import going_on

_SCRIPT = resources.files(__package__).joinpath("accept.lua").read_text()

_BATCH_NOTES = 128
_MAX_WAITING_NOTES = 10_000

_log = structlog.get_logger(__name__)


class Place(NamedTuple):
    """Where a note was put."""

    epoch: int
    sequence: int


class _Waiting(NamedTuple):
    room: str
    note: bytes
    place: asyncio.Future[Place]


class Acceptor:
    """Runs the accept script; sends that are under way at the same time share a pipeline.

    Args:
        redis: a client that never repeats a command (`notecast_runtime.redis_client`).
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: deque[_Waiting] = deque()
        self._news = asyncio.Event()
        self._script_id = ""

    async def accept(self, room: str, note: bytes, timeout_seconds: float) -> Place:
        """Stores a note and announces it.

        Args:
            room: as validated.
            note: a serialised Note without its place.
            timeout_seconds: bound on the wait. A note whose turn has not come by then
                is not stored.

        Raises:
            RedisUnavailableError: no answer in time; the note may be stored or not.
            OverloadedError: too many notes wait; the note is not stored.
        """
        if len(self._waiting) >= _MAX_WAITING_NOTES:
            raise OverloadedError(f"{_MAX_WAITING_NOTES} notes wait to be stored")
        waiting = _Waiting(room, note, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._news.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await waiting.place
        except TimeoutError:
            raise RedisUnavailableError("Redis did not answer in time") from None

    async def run(self) -> None:
        """Stores what waits, batch by batch, until cancelled."""
        while going_on():
            await self._news.wait()
            self._news.clear()
            while batch := self._next_batch():
                await self._store(batch)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < _BATCH_NOTES:
            waiting = self._waiting.popleft()
            if not waiting.place.done():  # else its caller has given up
                batch.append(waiting)
        return batch

    async def _store(self, batch: Sequence[_Waiting]) -> None:
        try:
            if not self._script_id:
                self._script_id = await self._redis.script_load(_SCRIPT)
            answers = await self._run_scripts(batch)
        except (*REDIS_AWAY, RedisError) as error:
            _log.warning("accept_failed", notes=len(batch), error=str(error))
            answers = [error] * len(batch)
        # A script that is not there has not run: those, and only those, go again.
        unknown = [w for w, a in zip(batch, answers, strict=True) if isinstance(a, NoScriptError)]
        if unknown:
            self._script_id = ""
            self._waiting.extendleft(reversed(unknown))
        for waiting, answer in zip(batch, answers, strict=True):
            if not isinstance(answer, NoScriptError):
                _settle(waiting.place, answer)

    async def _run_scripts(self, batch: Sequence[_Waiting]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for room, note, _ in batch:
                partition = partition_of(room)
                keys = (epoch_key(partition), heads_key(partition), outbox_key(partition))
                pipeline.evalsha(self._script_id, 3, *keys, room, live_channel(room), note)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers


def _settle(place: asyncio.Future[Place], answer: Any) -> None:  # noqa: ANN401 - Redis's
    if place.done():
        return
    if isinstance(answer, Exception):
        place.set_exception(RedisUnavailableError(f"Redis did not store the note: {answer}"))
    else:
        place.set_result(Place(*answer))
