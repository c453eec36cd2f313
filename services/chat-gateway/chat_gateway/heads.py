"""Where rooms stand, asked of Redis."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from typing import Any, NamedTuple, TypeVar

from chat_gateway.epochs import EpochEnd
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.keyspace import (
    epoch_end_prefix,
    epoch_key,
    epochs_key,
    heads_key,
    outbox_key,
    partition_of,
)
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis_client import REDIS_AWAY, Redis, RedisError

_SCRIPT = resources.files(__package__).joinpath("heads.lua").read_text()

_ENDS_SCRIPT = resources.files(__package__).joinpath("epoch_ends.lua").read_text()

ROOMS_PER_CALL = 1_000
"""Lua's `unpack` takes some 8,000 values."""


Item = TypeVar("Item")


class Head(NamedTuple):
    """Where a room's log ends."""

    epoch: int
    sequence: int
    """Of the newest note; 0 where there is none."""

    outbox_id: OutboxId = OutboxId(0, 0)
    """An id that every note accepted from then on comes behind in the outbox."""


class Standing(NamedTuple):
    """Where rooms of one partition stand, in one moment."""

    epoch: int
    outbox_id: OutboxId
    """As of Head."""

    sequences: Sequence[int]
    """Of each room's newest note, in the order in which they were asked for; 0: there is none."""


class Past(NamedTuple):
    """Where a room's log ends, and where it ended in the epochs before."""

    head: Head
    ends: Sequence[EpochEnd]
    """Of the epochs that are remembered, oldest first."""


class Heads:
    """Reads heads through one client.

    Args:
        redis: the client.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def ping(self) -> None:
        """Raises RedisUnavailableError where Redis does not answer in time."""
        try:
            await self._redis.ping()
        except (*REDIS_AWAY, RedisError) as error:
            raise RedisUnavailableError(f"Redis does not answer: {error}") from error

    async def read_one(self, room: str, timeout_seconds: float) -> Head:
        """The head of one room.

        Raises:
            RedisUnavailableError: Redis did not answer in time.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return known((await self.read([room]))[room])
        except TimeoutError:
            raise RedisUnavailableError("Redis did not answer in time") from None

    async def read(self, rooms: Iterable[str]) -> dict[str, Head | RedisUnavailableError]:
        """The heads of the rooms, in a call for each partition that they lie in.

        Returns:
            Of each room its head, or what is wrong with its partition.

        Raises:
            RedisUnavailableError: Redis did not answer in time.
        """
        calls = list(by_partition(rooms, str))
        heads: dict[str, Head | RedisUnavailableError] = {}
        for (_, names), standing in zip(calls, await self.standings(calls), strict=True):
            if isinstance(standing, RedisUnavailableError):
                heads.update(dict.fromkeys(names, standing))
            else:
                epoch, outbox_id, sequences = standing
                for room, sequence in zip(names, sequences, strict=True):
                    heads[room] = Head(epoch, sequence, outbox_id)
        return heads

    async def standings(
        self, calls: Sequence[tuple[int, Sequence[str]]]
    ) -> list[Standing | RedisUnavailableError]:
        """Where many rooms stand.

        Args:
            calls: partitions, each with rooms that lie in it: at least one, at most 1,000.

        Returns:
            Of each call a standing, or what is wrong with its partition: a key of the wrong
            type, which is no reason to tell nothing of the others.

        Raises:
            RedisUnavailableError: Redis did not answer in time.
        """
        if not calls:
            return []
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for partition, names in calls:
                    keys = (epoch_key(partition), heads_key(partition), outbox_key(partition))
                    pipeline.eval(_SCRIPT, len(keys), *keys, *names)
                answers = await pipeline.execute(raise_on_error=False)
        except (*REDIS_AWAY, RedisError) as error:
            raise _silent(error) from error
        return [_standing(answer) for answer in answers]

    async def past(self, room: str) -> Past:
        """Where the room stands and stood, in one moment.

        Raises:
            RedisUnavailableError: Redis did not answer in time, or has just lost its data.
        """
        partition = partition_of(room)
        keys = (epoch_key(partition), heads_key(partition), epochs_key(partition))
        prefix = epoch_end_prefix(partition)
        try:
            answer = await self._redis.eval(_ENDS_SCRIPT, len(keys), *keys, room, prefix)
        except (*REDIS_AWAY, RedisError) as error:
            raise RedisUnavailableError(f"Redis does not tell of its epochs: {error}") from error
        if not answer:
            raise RedisUnavailableError("the epoch has just been lost")
        epoch, sequence, *ended = answer
        ends = [EpochEnd(*end) for end in zip(ended[::2], ended[1::2], strict=True)]
        return Past(Head(epoch, sequence), ends)


def known(head: Head | RedisUnavailableError) -> Head:
    """The head; raises what is wrong with the room's partition instead."""
    if isinstance(head, RedisUnavailableError):
        raise head
    return head


def _standing(answer: Any) -> Standing | RedisUnavailableError:  # noqa: ANN401 - redis-py's
    if isinstance(answer, REDIS_AWAY):  # it loads its data, for example: nothing can be told
        raise _silent(answer) from answer
    if isinstance(answer, RedisError):
        return _silent(answer)
    epoch, outbox_id, *sequences = answer
    return Standing(epoch, OutboxId.parse(outbox_id), sequences)


def _silent(error: Exception) -> RedisUnavailableError:
    return RedisUnavailableError(f"Redis does not say where rooms stand: {error}")


def by_partition(
    rooms: Iterable[Item], name_of: Callable[[Item], str]
) -> Iterator[tuple[int, list[Item]]]:
    """Rooms, or what stands for them, as `Heads.standings` takes their names.

    Args:
        rooms: in any order.
        name_of: gives the room's name.
    """
    gathered: dict[int, list[Item]] = {}
    for room in rooms:
        gathered.setdefault(partition_of(name_of(room)), []).append(room)
    for partition, theirs in gathered.items():
        for start in range(0, len(theirs), ROOMS_PER_CALL):
            yield partition, theirs[start : start + ROOMS_PER_CALL]
