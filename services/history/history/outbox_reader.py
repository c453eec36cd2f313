"""Reads the outbox of every partition from its persisted position on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from notecast_runtime.keyspace import epoch_key, outbox_key, partition_of, persisted_key
from notecast_runtime.outbox import CorruptOutboxEntryError, OutboxEntry, decode_entry
from notecast_runtime.redis.client import Redis

OUTBOX_BEGIN = b"0-0"
"""The position before every entry."""


class OutboxPosition(NamedTuple):
    """The persisted position of a partition."""

    epoch: bytes
    """The epoch as its key has it; empty if there is none yet."""

    outbox_id: bytes
    """The outbox id up to which all is persisted."""


class Batch(NamedTuple):
    """A run of a partition's outbox, without gaps."""

    partition: int
    epoch: bytes
    """The epoch that was found before the batch was read."""

    first_id: bytes
    """The outbox id of the first entry, corrupt or not; empty if there is none."""

    last_id: bytes
    """The outbox id of the last entry, corrupt or not."""

    entries: tuple[OutboxEntry, ...]
    """In the outbox's order."""

    corrupt: tuple[CorruptOutboxEntryError, ...]
    """The entries between them that can't be persisted."""


class Reading(NamedTuple):
    """The result of one read of several partitions."""

    batches: list[Batch]
    """One for each partition with entries."""

    failed: dict[int, Exception]
    """Partitions that can't be read, for example because the outbox's key has a wrong type."""

    cut: bool
    """Whether a batch has the greatest length, so that more entries may follow."""


def decode_batch(
    partition: int, epoch: bytes, raw: Sequence[tuple[bytes, Mapping[bytes, bytes]]]
) -> Batch:
    """Decodes entries as redis-py returns them into a batch; there must be at least one."""
    entries: list[OutboxEntry] = []
    corrupt: list[CorruptOutboxEntryError] = []
    for outbox_id, fields in raw:
        try:
            entries.append(_decode(partition, outbox_id, fields))
        except CorruptOutboxEntryError as error:
            corrupt.append(error)
    first_id, last_id = raw[0][0], raw[-1][0]
    return Batch(partition, epoch, first_id, last_id, tuple(entries), tuple(corrupt))


def empty_batch(partition: int, position: OutboxPosition) -> Batch:
    """Makes a batch without entries, at the position."""
    return Batch(partition, position.epoch, b"", position.outbox_id, (), ())


def _decode(partition: int, outbox_id: bytes, fields: Mapping[bytes, bytes]) -> OutboxEntry:
    entry = decode_entry(outbox_id, fields)
    if partition_of(entry.room) != partition:
        raise CorruptOutboxEntryError(outbox_id, "r names a room of another partition")
    return entry


class OutboxReader:
    """Reads positions and batches; keeps no state between calls.

    Args:
        redis: where the outbox is.
        batch_notes: the most entries to read of one partition at once. A read holds at most this
            many times the number of partitions.
        block_seconds: how long to wait for an entry; less than the client's deadline for answers,
            which runs in the meantime.
    """

    def __init__(self, redis: Redis, *, batch_notes: int, block_seconds: float) -> None:
        self._redis = redis
        self._batch_notes = batch_notes
        self._block_seconds = block_seconds

    async def positions(self, partitions: Iterable[int]) -> dict[int, OutboxPosition]:
        """Reads the persisted positions; epoch and id of each partition in one step."""
        numbers = list(partitions)
        async with self._redis.pipeline(transaction=False) as pipeline:
            for number in numbers:
                pipeline.mget(epoch_key(number), persisted_key(number))
            answers: list[list[bytes | None]] = await pipeline.execute()
        return {
            number: OutboxPosition(epoch or b"", position or OUTBOX_BEGIN)
            for number, (epoch, position) in zip(numbers, answers, strict=True)
        }

    async def read(
        self, positions: Mapping[int, OutboxPosition], *, block_seconds: float | None = None
    ) -> Reading:
        """Reads the entries after the positions: at once if there are any, else after a wait.

        Args:
            positions: the positions of the partitions to read, at least one.
            block_seconds: a shorter wait than the usual one.
        """
        partitions = {outbox_key(number).encode(): number for number in positions}
        wait = self._block_seconds if block_seconds is None else block_seconds
        try:
            answer: Any = await self._redis.xread(
                {outbox_key(number): position.outbox_id for number, position in positions.items()},
                count=self._batch_notes,
                block=max(1, round(min(wait, self._block_seconds) * 1000)),  # 0: for ever
            )
        except ResponseError:  # of one partition; it does not say which
            return await self._read_apart(positions)
        found = {partitions[key]: raw for key, raw in answer if raw}
        return self._reading(positions, found, {})

    async def _read_apart(self, positions: Mapping[int, OutboxPosition]) -> Reading:
        """Reads each partition by itself, without a wait."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for number, position in positions.items():
                pipeline.xread({outbox_key(number): position.outbox_id}, count=self._batch_notes)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        failed: dict[int, Exception] = {}
        found: dict[int, Any] = {}
        for number, answer in zip(positions, answers, strict=True):
            if isinstance(answer, Exception):
                failed[number] = answer
            elif answer:
                [(_, found[number])] = answer
        return self._reading(positions, found, failed)

    def _reading(
        self,
        positions: Mapping[int, OutboxPosition],
        found: Mapping[int, Any],
        failed: dict[int, Exception],
    ) -> Reading:
        batches = [decode_batch(n, positions[n].epoch, raw) for n, raw in found.items()]
        return Reading(
            batches, failed, any(len(raw) >= self._batch_notes for raw in found.values())
        )
