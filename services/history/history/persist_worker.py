"""Persists the outbox for as long as the process lives.

Any number of replicas may do so at the same time. Each goes in the outbox's order from
the position that they share, and writing a note twice changes nothing, so that no
interleaving of them can skip one.
"""

import asyncio
from typing import NamedTuple

import structlog

from history.outbox_reader import Batch, OutboxReader, Place
from history.persist_script import Failed, Outcome, Persisted, Persister
from notecast_runtime.backoff import Backoff
from notecast_runtime.health import Health
from notecast_runtime.keyspace import PARTITIONS
from notecast_runtime.redis_client import REDIS_AWAY

REDIS = "redis"
"""The condition of readiness that Redis answers."""

PERSISTING = "persisting"
"""The condition of readiness that no partition fails to be persisted."""

_REFRESH_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class _Rest(NamedTuple):
    """A partition that failed is let alone for a while; the others go on."""

    backoff: Backoff
    until: float


class PersistWorker:
    """Moves notes from the outbox to the streams of their rooms.

    Args:
        reader: reads the outbox.
        persister: writes the streams.
        health: is told of REDIS and PERSISTING.
    """

    def __init__(self, reader: OutboxReader, persister: Persister, health: Health) -> None:
        self._reader = reader
        self._persister = persister
        self._health = health
        self._stopping = asyncio.Event()
        self._places: dict[int, Place] = {}
        self._resting: dict[int, _Rest] = {}
        self._refresh_at = 0.0

    def stop(self) -> None:
        """Asks `run` to finish the batch in hand and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Persists until told to stop, and comes back from whatever fails meanwhile."""
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                await self._refresh()
                await self._persist_on(backoff)
            except REDIS_AWAY as error:
                _log.warning("redis_away", error=str(error))
                await self._health.report(REDIS, holds=False)
                await self._pause_failing(backoff)
            except Exception:
                _log.exception("persisting_failed")
                await self._pause_failing(backoff)

    async def _persist_on(self, backoff: Backoff) -> None:
        while not self._stopping.is_set():
            if _now() >= self._refresh_at:
                await self._refresh()
            await self._pass()
            backoff.reset()

    async def _refresh(self) -> None:
        """Finds out anew where persisting stands.

        After every failure, and each second besides: a position that Redis has lost would
        make the worker wait for entries behind it.
        """
        self._places = await self._reader.places(range(PARTITIONS))
        self._refresh_at = _now() + _REFRESH_SECONDS
        await self._health.report(REDIS, holds=True)
        await self._health.report(PERSISTING, holds=not self._resting)

    async def _pass(self) -> None:
        awake, wait = self._awake()
        if not awake:
            await self._pause(wait)
            return
        batches = await self._reader.read(awake, block_seconds=wait)
        for partition in awake.keys() - {batch.partition for batch in batches}:
            self._resting.pop(partition, None)  # another replica did what failed here
        if batches:
            outcomes = await self._persister.persist(batches)
            for batch, outcome in zip(batches, outcomes, strict=True):
                self._settle(batch, outcome)
            await self._read_refused_again(batches, outcomes)
        await self._health.report(PERSISTING, holds=not self._resting)

    def _awake(self) -> tuple[dict[int, Place], float]:
        """The partitions to read now, and the seconds until the next one is to be read too."""
        now = _now()
        rests = {n: rest.until - now for n, rest in self._resting.items() if rest.until > now}
        awake = {n: place for n, place in self._places.items() if n not in rests}
        return awake, min(rests.values(), default=_REFRESH_SECONDS)

    def _settle(self, batch: Batch, outcome: Outcome) -> None:
        if isinstance(outcome, Failed):
            _log.error("batch_failed", partition=batch.partition, error=str(outcome.error))
            self._rest(batch.partition)
            return
        self._resting.pop(batch.partition, None)
        if isinstance(outcome, Persisted):
            self._places[batch.partition] = Place(batch.epoch, outcome.position)
            _log_lost(batch, outcome)

    def _rest(self, partition: int) -> None:
        rest = self._resting.get(partition)
        backoff = rest.backoff if rest else Backoff()
        self._resting[partition] = _Rest(backoff, _now() + backoff.next_delay())

    async def _read_refused_again(self, batches: list[Batch], outcomes: list[Outcome]) -> None:
        refused = [
            batch.partition
            for batch, outcome in zip(batches, outcomes, strict=True)
            if not isinstance(outcome, Persisted | Failed)
        ]
        if refused:
            _log.info("epoch_changed", partitions=refused)
            self._places.update(await self._reader.places(refused))

    async def _pause_failing(self, backoff: Backoff) -> None:
        await self._health.report(PERSISTING, holds=False)
        await self._pause(backoff.next_delay())

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


def _log_lost(batch: Batch, outcome: Persisted) -> None:
    for error in batch.corrupt:
        _log.error(
            "outbox_entry_corrupt",
            outbox_id=error.outbox_id.decode(errors="replace"),
            fault=error.fault,
        )
    for entry in outcome.passed_over:
        _log.error("room_key_is_no_stream", room=entry.room, sequence=entry.sequence)


def _now() -> float:
    return asyncio.get_running_loop().time()
