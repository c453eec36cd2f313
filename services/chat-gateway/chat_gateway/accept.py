"""Puts notes into their rooms' logs: the only place where a note gets its sequence."""

import asyncio
from collections import deque
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

import structlog
from redis.exceptions import NoScriptError

from notecast_runtime.errors import NoteIdTakenError, OverloadedError, RedisUnavailableError
from notecast_runtime.keyspace import (
    epoch_key,
    heads_key,
    live_channel,
    outbox_key,
    partition_of,
    sent_key,
)
from notecast_runtime.redis_client import REDIS_AWAY, Redis, RedisError
from notecast_runtime.tasks import going_on

_SCRIPT = resources.files(__package__).joinpath("accept.lua").read_text()

_BATCH_NOTES = 128
_MAX_WAITING_NOTES = 10_000

_log = structlog.get_logger(__name__)


class Submission(NamedTuple):
    """A note to store."""

    room: str
    note_id: str
    """As given by the sender; empty where the server has made one, which nobody repeats."""

    note: bytes
    """A serialised Note without its place."""

    digest: bytes
    """Equal for equal content, whenever and wherever the note was made."""

    made_ns: int
    """The note's create_time, in ns since 1970."""


class Accepted(NamedTuple):
    """Where a note was put, and when it was made."""

    epoch: int
    sequence: int
    made_ns: int
    duplicate: bool
    """Whether an earlier call has put it there."""


class _Waiting(NamedTuple):
    submission: Submission
    answer: asyncio.Future[Accepted]


class Acceptor:
    """Runs the accept script; sends that are under way at the same time share a pipeline.

    Args:
        redis: a client that never repeats a command (`notecast_runtime.redis_client`).
        idempotency_window_seconds: how long a sender's note id is remembered.
    """

    def __init__(self, redis: Redis, idempotency_window_seconds: float) -> None:
        self._redis = redis
        self._window_ms = round(idempotency_window_seconds * 1000)
        self._waiting: deque[_Waiting] = deque()
        self._news = asyncio.Event()
        self._script_id = ""

    async def accept(self, submission: Submission, timeout_seconds: float) -> Accepted:
        """Stores a note and announces it.

        Args:
            submission: as validated.
            timeout_seconds: bound on the wait. A note whose turn has not come by then
                is not stored.

        Raises:
            NoteIdTakenError: the id was used for another note.
            RedisUnavailableError: no answer in time; the note may be stored or not.
            OverloadedError: too many notes wait; the note is not stored.
        """
        if len(self._waiting) >= _MAX_WAITING_NOTES:
            raise OverloadedError(f"{_MAX_WAITING_NOTES} notes wait to be stored")
        waiting = _Waiting(submission, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._news.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                return await waiting.answer
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
            if not waiting.answer.done():  # else its caller has given up
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
                _settle(waiting, answer)

    async def _run_scripts(self, batch: Sequence[_Waiting]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for submission, _ in batch:
                pipeline.evalsha(self._script_id, 4, *self._arguments(submission))
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers

    def _arguments(self, submission: Submission) -> Sequence[str | bytes | int]:
        room, note_id, note, digest, made_ns = submission
        partition = partition_of(room)
        return (
            epoch_key(partition),
            heads_key(partition),
            outbox_key(partition),
            sent_key(room, note_id),
            room,
            live_channel(room),
            note,
            digest,
            made_ns,
            self._window_ms if note_id else 0,
        )


def _settle(waiting: _Waiting, answer: Any) -> None:  # noqa: ANN401 - Redis's
    if waiting.answer.done():
        return
    match answer:
        case [b"stored" | b"duplicate" as outcome, epoch, sequence, made_ns]:
            waiting.answer.set_result(
                Accepted(int(epoch), int(sequence), int(made_ns), outcome == b"duplicate")
            )
        case [b"taken"]:
            waiting.answer.set_exception(NoteIdTakenError(waiting.submission.note_id))
        case _:
            fault = f"Redis did not store the note: {answer}"
            waiting.answer.set_exception(RedisUnavailableError(fault))
