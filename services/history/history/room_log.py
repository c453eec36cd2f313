"""Reads rooms from Redis: head, pages of the stream, and what is known of forgotten rooms."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import structlog
from redis.exceptions import ResponseError

from history.logged_notes import CorruptLogEntryError, from_log_entry
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.errors import RedisUnavailableError
from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    KNOWN_FROM_FIELD,
    epoch_key,
    forgotten_before_key,
    forgotten_field,
    forgotten_key,
    heads_key,
    log_key,
    partition_of,
)
from notecast_runtime.redis.client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.redis.refusals import refusal_of, words_for

_log = structlog.get_logger(__name__)


class RoomHead(NamedTuple):
    """The end of a room's log."""

    epoch: int
    """The epoch of its partition; 0 if there is none yet."""

    sequence: int
    """The sequence of its newest note, persisted or not; the floor if Redis has nothing of it."""

    floor: int
    """The partition's floor."""

    is_floor: bool
    """Whether Redis has nothing of the room."""


class LogPage:
    """A page of a room's stream.

    Attributes:
        notes: the notes in order of sequence, without entries that can't be decoded.
        full: whether as many entries were found as were asked for.
        first: the sequence of the first entry, readable or not; 0: there is none.
        last: the sequence of the last entry, likewise.
    """

    __slots__ = ("first", "full", "last", "notes")

    def __init__(self, room: str, raw: "_Entries", *, full: bool) -> None:
        self.notes = _decode(room, raw)
        self.full = full
        self.first = _sequence(raw[0][0]) if raw else 0
        self.last = _sequence(raw[-1][0]) if raw else 0


@contextmanager
def answering_redis() -> Iterator[None]:
    """Translates errors of commands that a caller waits for.

    Raises:
        RedisUnavailableError: Redis can't be reached, did not answer in time, or refuses all
            commands.
    """
    try:
        yield
    except (*REDIS_AWAY, RedisError) as error:
        if isinstance(error, REDIS_AWAY) or refusal_of(error):
            raise RedisUnavailableError(words_for(error)) from error
        raise


class RoomLog:
    """Reads the persisted part of rooms. Every method raises RedisUnavailableError.

    Args:
        redis: where the rooms are.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def head(self, room: str) -> RoomHead:
        """Reads the head of a room."""
        with answering_redis():
            async with self._redis.pipeline(transaction=False) as questions:
                _ask_for_head(questions, room)
                answers: Any = await questions.execute()
        return _head(answers)

    async def head_and_last(self, room: str, before: int, count: int) -> "tuple[RoomHead, LogPage]":
        """Reads the head of a room, and then, in the same exchange, the end of its stream.

        Args:
            room: the room.
            before: only notes below this sequence; 0: the newest.
            count: the most notes.

        Returns:
            The head, and a page like `backward`'s; it may hold notes that came after the head.
        """
        newest = f"{before - 1}-0" if before else "+"
        with answering_redis():
            async with self._redis.pipeline(transaction=False) as questions:
                _ask_for_head(questions, room)
                questions.xrevrange(log_key(room), newest, "-", count=count)
                answers: Any = await questions.execute(raise_on_error=False)
            *of_head, raw = answers
            for answer in of_head:
                if isinstance(answer, Exception):
                    raise answer
        raw = await _entries(room, _given(raw))
        return _head(of_head), LogPage(room, raw[::-1], full=len(raw) == count)

    async def gone_through(self, room: str, head: RoomHead) -> int:
        """A sequence after which the room had no note that was removed when it was forgotten.

        Args:
            room: a room that was forgotten, if ever, before this call.
            head: its head, read before this call.
        """
        partition, field = partition_of(room), forgotten_field(room)
        lasts, known_from = [], head.floor
        # In this order: an entry that is moved from one to the other in the meantime is found.
        for key in (forgotten_key(partition), forgotten_before_key(partition)):
            try:
                with answering_redis():
                    answer: Any = await self._redis.hmget(key, field, KNOWN_FROM_FIELD)
            except ResponseError as error:
                if not str(error).startswith("WRONGTYPE"):
                    raise
                _log.error("forgotten_rooms_unreadable", key=key)
                return head.floor
            last, since = answer
            lasts += [] if last is None else [int(last.partition(b" ")[0])]
            known_from = known_from if since is None else int(since)
        return max(lasts, default=known_from)

    async def forward(self, room: str, after: int, through: int, count: int) -> LogPage:
        """Reads the first notes of the range (after, through], at most `count`."""
        raw = await _entries(
            room, self._redis.xrange(log_key(room), f"({after}-0", f"{through}-0", count=count)
        )
        return LogPage(room, raw, full=len(raw) == count)

    async def backward(self, room: str, through: int, count: int) -> LogPage:
        """Reads the last notes up to `through`, at most `count`, the oldest first."""
        raw = await _entries(
            room, self._redis.xrevrange(log_key(room), f"{through}-0", "-", count=count)
        )
        return LogPage(room, raw[::-1], full=len(raw) == count)


def _ask_for_head(questions: Any, room: str) -> None:  # noqa: ANN401 - a pipeline
    partition = partition_of(room)
    questions.get(epoch_key(partition))
    questions.hmget(heads_key(partition), room, FLOOR_FIELD)


def _head(answers: Any) -> RoomHead:  # noqa: ANN401 - Redis's
    raw_epoch, (head, floor) = answers
    epoch = int(raw_epoch) if raw_epoch is not None and raw_epoch.isdigit() else 0
    return RoomHead(epoch, int(head or floor or 0), int(floor or 0), is_floor=head is None)


async def _given(answer: Any) -> Any:  # noqa: ANN401 - Redis's
    if isinstance(answer, Exception):
        raise answer
    return answer


_Entries = list[tuple[bytes, dict[bytes, bytes]]]


async def _entries(room: str, reading: Awaitable[Any]) -> _Entries:
    """Reads entries of a room's stream; none if its key has another type."""
    try:
        with answering_redis():
            entries: _Entries = await reading
    except ResponseError as error:
        if not str(error).startswith("WRONGTYPE"):
            raise
        _log.error("room_key_is_no_stream", room=room)
        return []
    return entries


def _sequence(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])


def _decode(room: str, raw: _Entries) -> list[LoggedNote]:
    notes = []
    for entry_id, fields in raw:
        try:
            notes.append(from_log_entry(entry_id, fields))
        except CorruptLogEntryError as error:  # the room's other notes are still good
            _log.error("log_entry_corrupt", room=room, fault=str(error))
    return notes
