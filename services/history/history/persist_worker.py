"""Persists the outbox for as long as the process lives.

Any number of replicas may do so at the same time. Each follows the outbox's order from the shared
position, and writing a note twice changes nothing. So no interleaving of replicas can skip a note.
Leases only keep them from all doing the same work.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from history.failing import Failing
from history.leases import Leases
from history.outbox_reader import Batch, OutboxPosition, OutboxReader
from history.partition_backoff import PartitionBackoff
from history.persist_script import Failed, Persisted, Persister, Refused
from notecast_runtime.backoff import Backoff
from notecast_runtime.health import Health
from notecast_runtime.keyspace import PARTITIONS
from notecast_runtime.log_limiter import News
from notecast_runtime.redis.client import REDIS_AWAY
from notecast_runtime.redis.refusals import AllRefusedError, refusal_of

REDIS = "redis"
"""Condition of readiness: Redis answers."""

PERSISTING = "persisting"
"""Condition of readiness: no partition fails to be persisted."""

_BATCHING_SECONDS = 0.05
"""The wait between two reads, so that accepted notes are batched.

A read costs as much as persisting about 30 notes. No caller waits for it: notes that are not
persisted yet are replayed from the outbox.
"""

_MANY_NOTES = 100
_BATCHING_SECONDS_OF_MANY = 0.02
"""The same after a read of many notes: shorter, so that no batch keeps Redis busy for long."""

_log = structlog.get_logger(__name__)


class PersistWorker:
    """Copies notes from the outbox to the streams of their rooms.

    Args:
        leases: the partitions of this replica for now. It touches no others.
        reader: reads the outbox.
        persister: writes the streams.
        health: told of `REDIS` and `PERSISTING`.
        short: tells whether Redis is short of memory.
    """

    def __init__(
        self,
        leases: Leases,
        reader: OutboxReader,
        persister: Persister,
        health: Health,
        short: Callable[[], bool] = lambda: False,
    ) -> None:
        self._leases = leases
        self._reader = reader
        self._persister = persister
        self._health = health
        self._short = short
        self._stopping = asyncio.Event()
        self._positions: dict[int, OutboxPosition] = {}
        self._backoff = PartitionBackoff()
        self._failing = Failing("partition_failed")
        self._untrimmed = Failing("outbox_not_trimmed")
        self._faults = News()
        self._refresh_at = 0.0
        self._rejected = 0

    @property
    def rejected(self) -> int:
        """The number of entries that this worker has set aside so far."""
        return self._rejected

    def stop(self) -> None:
        """Asks `run` to finish the current batch and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Persists until `stop`, whether Redis answers or not; then gives up its leases."""
        backoff = Backoff()
        while not self._stopping.is_set():
            self._positions, self._refresh_at = {}, 0.0
            try:
                await self._persist_on(backoff)
            except REDIS_AWAY as error:
                refusal = refusal_of(error)
                reason = refusal.reason if refusal else "redis_away"
                self._tell("redis_away", str(error) or type(error).__name__)
                self._health.report(REDIS, holds=False, reason=reason)
                self._health.report(PERSISTING, holds=False, reason=reason)
                await self._pause(backoff.next_delay())
            except AllRefusedError as error:
                self._tell("redis_refuses", str(error))
                reason = error.refusal.reason
                self._health.report(PERSISTING, holds=False, reason=reason)
                await self._pause(backoff.next_delay())

    async def _persist_on(self, backoff: Backoff) -> None:
        while not self._stopping.is_set():
            if _now() >= self._refresh_at:
                await self._refresh()
            await self._pass()
            backoff.reset()
            self._faults.forget()
        await self._leases.give_up()

    async def _refresh(self) -> None:
        """Renews its leases, and reads the persisted positions anew.

        Called after every failure, and about each second: with a position that Redis has lost, the
        worker would wait for entries after it. The loop that does the work also renews the
        leases, so a loop that hangs loses them.
        """
        holding = await self._leases.renew()
        self._positions = await self._reader.positions(sorted(holding.partitions))
        self._refresh_at = _now() + holding.renew_seconds
        for partition in self._backoff.keep(holding.partitions):
            self._failing.ended(partition)
        self._health.report(REDIS, holds=True)
        self._health.report(PERSISTING, holds=not self._backoff)
        await self._trim()

    async def _trim(self) -> None:
        """Trims what is due; a partition that can't be trimmed is persisted all the same."""
        failed = await self._persister.trim(self._positions, make_room=self._short())
        for partition in range(PARTITIONS):
            if partition in failed:
                self._untrimmed.failed(partition, str(failed[partition]))
            else:
                self._untrimmed.ended(partition)
        self._untrimmed.tell()

    async def _pass(self) -> None:
        ready, wait = self._ready()
        if not ready:
            await self._pause(wait)
            return
        reading = await self._reader.read(ready, block_seconds=wait)
        for partition, error in reading.failed.items():
            self._fail(partition, error)
        reported = {batch.partition for batch in reading.batches} | reading.failed.keys()
        for partition in ready.keys() - reported:
            self._recover(partition)  # another replica has done what failed here
        if reading.batches:
            await self._persist(reading.batches)
        self._failing.tell()
        self._health.report(PERSISTING, holds=not self._backoff)
        if reading.batches and not reading.cut:
            notes = sum(len(batch.entries) for batch in reading.batches)
            await self._pause(
                _BATCHING_SECONDS if notes < _MANY_NOTES else _BATCHING_SECONDS_OF_MANY
            )

    def _ready(self) -> tuple[dict[int, OutboxPosition], float]:
        """The partitions to read now, and the seconds until other work is due."""
        now = _now()
        paused = self._backoff.paused(now)
        ready = {n: position for n, position in self._positions.items() if n not in paused}
        return ready, max(0.0, min([self._refresh_at - now, *paused.values()]))

    async def _persist(self, batches: list[Batch]) -> None:
        outcomes = await self._persister.persist(batches, make_room=self._short())
        refused = []
        for batch, outcome in zip(batches, outcomes, strict=True):
            match outcome:
                case Persisted():
                    self._settle(batch, outcome)
                case Refused():
                    refused.append(batch.partition)
                case Failed(error):
                    self._fail(batch.partition, error)
        if refused:
            _log.info("epoch_changed", partitions=refused)
            self._positions.update(await self._reader.positions(refused))

    def _settle(self, batch: Batch, outcome: Persisted) -> None:
        self._recover(batch.partition)
        self._positions[batch.partition] = OutboxPosition(batch.epoch, outcome.position)
        for outbox_id, reason in outcome.rejected:
            self._rejected += 1
            _log.error(
                "entry_rejected",
                partition=batch.partition,
                outbox_id=outbox_id,
                reason=reason,
                total=self._rejected,
            )

    def _fail(self, partition: int, error: Exception) -> None:
        self._failing.failed(partition, str(error))
        self._backoff.fail(partition, _now())

    def _recover(self, partition: int) -> None:
        self._backoff.recover(partition)
        self._failing.ended(partition)

    def _tell(self, event: str, error: str) -> None:
        if self._faults.is_new(event, error):
            _log.warning(event, error=error)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _now() -> float:
    return asyncio.get_running_loop().time()
