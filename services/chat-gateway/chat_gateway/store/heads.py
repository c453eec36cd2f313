"""Reads the heads of rooms from Redis."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from typing import Any, TypeVar

from chat_gateway.log.epochs import EpochEnd
from chat_gateway.log.outbox_mark import BEFORE_ALL
from chat_gateway.log.positions import EpochHistory, Head, PartitionHeads
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    epoch_end_prefix,
    epoch_key,
    epochs_key,
    forgotten_before_key,
    forgotten_key,
    heads_key,
    outbox_key,
    partition_of,
)
from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.client import REDIS_AWAY, PreparedCommand, Redis, RedisError
from notecast_runtime.redis.refusals import words_for

_SCRIPT = resources.files(__package__).joinpath("heads.lua").read_text()

_ENDS_SCRIPT = resources.files(__package__).joinpath("epoch_ends.lua").read_text()

ROOMS_PER_CALL = 1_000
"""Lua's `unpack` takes some 8,000 values, and no command should keep Redis busy for long."""

Item = TypeVar("Item")


class PartitionHeadsQuery:
    """Reads the heads of the same rooms again and again. Its commands are made once.

    Three plain commands cost Redis half as much as a script that reads the same, and it answers
    for thousands of rooms a second. (The second one also returns a note; that is the price.) They
    need not be atomic: if the epoch ends after the first, the next answer shows it. And the outbox
    id is read before the heads, so notes that are accepted later come after it.

    Args:
        partition: the partition of the rooms.
        rooms: their names, at least 1, at most `ROOMS_PER_CALL`.

    Attributes:
        partition: as given.
        rooms: as given.
        commands: the commands to send, in this order.
    """

    __slots__ = ("commands", "partition", "rooms")

    def __init__(self, partition: int, rooms: Sequence[str]) -> None:
        self.partition = partition
        self.rooms = rooms
        self.commands = (
            PreparedCommand("GET", epoch_key(partition)),
            PreparedCommand("XREVRANGE", outbox_key(partition), "+", "-", "COUNT", 1),
            PreparedCommand("HMGET", heads_key(partition), FLOOR_FIELD, *rooms),
        )


class Heads:
    """Reads heads with one client.

    Args:
        redis: the client.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def read_one(self, room: str, timeout_seconds: float) -> Head:
        """Reads the head of one room.

        Raises:
            RedisUnavailableError: Redis did not answer in time.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return known((await self.read([room]))[room])
        except TimeoutError:
            raise RedisUnavailableError("Redis did not answer in time") from None

    async def read(self, rooms: Iterable[str]) -> dict[str, Head | RedisUnavailableError]:
        """Reads the heads of rooms, with one call for each of their partitions.

        Returns:
            For each room its head, or the error of its partition.

        Raises:
            RedisUnavailableError: Redis did not answer in time.
        """
        calls = list(by_partition(rooms, str))
        heads: dict[str, Head | RedisUnavailableError] = {}
        for (_, names), found in zip(calls, await self._run(calls), strict=True):
            if isinstance(found, RedisUnavailableError):
                heads.update(dict.fromkeys(names, found))
            else:
                heads.update(zip(names, found, strict=True))
        return heads

    async def partition_heads(
        self, queries: Sequence[PartitionHeadsQuery]
    ) -> list[PartitionHeads | RedisUnavailableError]:
        """Reads the heads of many rooms.

        Returns:
            For each query the answer, or the error of its partition, such as a key of the wrong
            type. One failed partition does not fail the others.

        Raises:
            RedisUnavailableError: Redis did not answer in time.
        """
        commands = [(command,) for query in queries for command in query.commands]
        answers = iter(await self._answers(commands))
        return [
            _partition_heads(*three) or await self._heads_in_new_epoch(query)
            for query, *three in zip(queries, answers, answers, answers, strict=True)
        ]

    async def _heads_in_new_epoch(
        self, query: PartitionHeadsQuery
    ) -> PartitionHeads | RedisUnavailableError:
        """Runs the script, which begins an epoch: the data have vanished with their epoch."""
        [heads] = await self._run([(query.partition, query.rooms)])
        if isinstance(heads, RedisUnavailableError):
            return heads
        epoch, _, outbox_id, _ = heads[0]
        newest = [None if head.is_floor else b"%d" % head.sequence for head in heads]
        floor = max((head.sequence for head in heads if head.is_floor), default=0)
        return PartitionHeads(epoch, outbox_id, newest, floor)

    async def _run(
        self, calls: Sequence[tuple[int, Sequence[str]]]
    ) -> list[list[Head] | RedisUnavailableError]:
        """Runs the script for rooms by partition; returns their heads in the same order."""
        commands: list[tuple[str | int, ...]] = []
        for partition, names in calls:
            keys = (epoch_key(partition), heads_key(partition), outbox_key(partition))
            commands.append(("EVAL", _SCRIPT, len(keys), *keys, *names))
        return [_heads(answer) for answer in await self._answers(commands)]

    async def _answers(self, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        """Sends commands together; returns their answers, including errors."""
        if not commands:
            return []
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                answers: list[Any] = await pipeline.execute(raise_on_error=False)
                return answers
        except (*REDIS_AWAY, RedisError) as error:
            raise _silent(error) from error

    async def epoch_history(self, room: str) -> EpochHistory:
        """Reads the room's head now and at the ends of earlier epochs, in one step.

        Raises:
            RedisUnavailableError: Redis did not answer in time, or has just lost its data.
        """
        partition = partition_of(room)
        of_partition = (epoch_key, heads_key, epochs_key, forgotten_key, forgotten_before_key)
        keys = [key(partition) for key in of_partition]
        prefix = epoch_end_prefix(partition)
        try:
            answer = await self._redis.eval(_ENDS_SCRIPT, len(keys), *keys, room, prefix)
        except (*REDIS_AWAY, RedisError) as error:
            raise RedisUnavailableError(words_for(error)) from error
        if not answer:
            raise RedisUnavailableError("the epoch has just been lost")
        epoch, sequence, *ended = answer
        ends = [EpochEnd(*end) for end in zip(ended[::2], ended[1::2], strict=True)]
        return EpochHistory(_head(epoch, sequence), ends)


def known(head: Head | RedisUnavailableError) -> Head:
    """Returns the head, or raises the error of the room's partition."""
    if isinstance(head, RedisUnavailableError):
        raise head
    return head


def _heads(answer: Any) -> list[Head] | RedisUnavailableError:  # noqa: ANN401 - redis-py's
    if isinstance(answer, RedisError):
        return _refusal(answer)
    epoch, outbox_id, *sequences = answer
    newest = OutboxId.parse(outbox_id)
    return [_head(epoch, sequence, newest) for sequence in sequences]


def _partition_heads(
    epoch: Any,  # noqa: ANN401 - redis-py's, as the other two
    outbox: Any,  # noqa: ANN401
    newest: Any,  # noqa: ANN401
) -> PartitionHeads | RedisUnavailableError | None:
    """Decodes the answers to a PartitionHeadsQuery; None if the partition has no epoch."""
    for answer in (epoch, outbox, newest):
        if isinstance(answer, RedisError):
            return _refusal(answer)
    if epoch is None:
        return None
    outbox_id = OutboxId.parse(outbox[0][0]) if outbox else BEFORE_ALL
    floor, *sequences = newest
    return PartitionHeads(int(epoch), outbox_id, sequences, int(floor or 0))


def _head(epoch: int, sequence: int, outbox_id: OutboxId = BEFORE_ALL) -> Head:
    """Decodes a head as the scripts return it: a floor is negative."""
    return Head(epoch, abs(sequence), outbox_id, is_floor=sequence < 0)


def _refusal(error: RedisError) -> RedisUnavailableError:
    """Makes the error of one partition.

    Raises:
        RedisUnavailableError: no partition can be read, for example while Redis loads its data.
    """
    if isinstance(error, REDIS_AWAY):
        raise _silent(error) from error
    return _silent(error)


def _silent(error: Exception) -> RedisUnavailableError:
    silent = RedisUnavailableError(words_for(error))
    silent.__cause__ = error  # for logs, not for clients
    return silent


def by_partition(
    rooms: Iterable[Item], name_of: Callable[[Item], str]
) -> Iterator[tuple[int, list[Item]]]:
    """Groups rooms by partition, at most `ROOMS_PER_CALL` in a group.

    Args:
        rooms: rooms, or objects that stand for them, in any order.
        name_of: returns the name of a room.
    """
    gathered: dict[int, list[Item]] = {}
    for room in rooms:
        gathered.setdefault(partition_of(name_of(room)), []).append(room)
    for partition, theirs in gathered.items():
        for start in range(0, len(theirs), ROOMS_PER_CALL):
            yield partition, theirs[start : start + ROOMS_PER_CALL]
