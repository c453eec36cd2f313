"""Appends notes to their rooms' logs: only here does a note get its sequence."""

import asyncio
from collections.abc import Callable
from hashlib import sha1
from importlib import resources
from typing import Any, NamedTuple

import structlog
from hiredis import ReplyError

from notecast_runtime.errors import (
    NoteIdTakenError,
    RedisUnavailableError,
    UnavailableError,
    WritesRefusedError,
)
from notecast_runtime.keyspace import (
    PARTITIONS,
    epoch_key,
    heads_key,
    live_channel,
    outbox_key,
    partition_of,
    sent_key,
)
from notecast_runtime.redis.connection import pack
from notecast_runtime.redis.pipeline import RedisPipeline
from notecast_runtime.redis.refusals import Refusal, refusal_of, words_for

_SCRIPT = resources.files(__package__).joinpath("accept.lua").read_text()
_DIGEST = sha1(_SCRIPT.encode()).hexdigest()  # noqa: S324 - Redis's choice

_log = structlog.get_logger(__name__)


class Submission(NamedTuple):
    """A note to store."""

    room: str
    note_id: str
    """The sender's id; empty if the server made one, which is never repeated."""

    note: bytes
    """A serialised Note without its position."""

    digest: bytes
    """Equal for equal content, whenever and wherever the note was made; unused without an id."""

    made_ns: int
    """The note's create_time, in ns since 1970."""


class Accepted(NamedTuple):
    """The position of a stored note, and the time when it was made."""

    epoch: int
    sequence: int
    made_ns: int
    duplicate: bool
    """Whether an earlier call has stored it."""


class Acceptor:
    """Runs the accept script; concurrent sends share a pipeline.

    Args:
        pipeline: sends commands to Redis.
        idempotency_window_seconds: how long a sender's note id is remembered.
        on_refusal: called if Redis takes no writes; must not block, nor raise.
    """

    def __init__(
        self,
        pipeline: RedisPipeline,
        idempotency_window_seconds: float,
        on_refusal: Callable[[Refusal], None] = lambda _: None,
    ) -> None:
        self._pipeline = pipeline
        self._on_refusal = on_refusal
        self._time = asyncio.get_running_loop().time
        self._window_ms = round(idempotency_window_seconds * 1000)
        self._keys = [(epoch_key(p), heads_key(p), outbox_key(p)) for p in range(PARTITIONS)]

    async def accept(self, submission: Submission, timeout_seconds: float) -> Accepted:
        """Stores a note and announces it.

        Args:
            submission: the note, validated.
            timeout_seconds: bound on the wait. A note that was not sent to Redis by then is not
                stored.

        Raises:
            NoteIdTakenError: the id was used for another note.
            RedisUnavailableError: no answer in time; the note may be stored or not.
            WritesRefusedError: Redis takes no writes now; the note is not stored.
            OverloadedError: too many notes wait; the note is not stored.
        """
        deadline = self._time() + timeout_seconds
        arguments = self._arguments(submission)
        answer = await self._pipeline.call(pack(("EVALSHA", _DIGEST, *arguments)), deadline)
        if isinstance(answer, ReplyError) and str(answer).startswith("NOSCRIPT"):
            # Redis does not have the script, so it has not run: only then is it safe to send again.
            answer = await self._pipeline.call(pack(("EVAL", _SCRIPT, *arguments)), deadline)
        if isinstance(answer, ReplyError):
            raise self._refused(answer, submission)
        return _accepted(answer, submission)

    def _refused(self, answer: ReplyError, submission: Submission) -> UnavailableError:
        refusal = refusal_of(answer)
        if refusal is None:
            partition = partition_of(submission.room)
            _log.error("note_refused", partition=partition, error=str(answer))
        else:
            self._on_refusal(refusal)
            if refusal.definite:
                return WritesRefusedError(refusal.reason, refusal.words)
        return RedisUnavailableError(words_for(answer))

    def _arguments(self, submission: Submission) -> tuple[str | bytes | int, ...]:
        room, note_id, note, digest, made_ns = submission
        return (
            4,
            *self._keys[partition_of(room)],
            sent_key(room, note_id),
            room,
            live_channel(room),
            note,
            digest,
            made_ns,
            self._window_ms if note_id else 0,
        )


def _accepted(answer: Any, submission: Submission) -> Accepted:  # noqa: ANN401 - Redis's
    match answer:
        case [b"stored" | b"duplicate" as outcome, epoch, sequence, made_ns]:
            return Accepted(int(epoch), int(sequence), int(made_ns), outcome == b"duplicate")
        case [b"taken"]:
            raise NoteIdTakenError(submission.note_id)
    raise TypeError(f"the script has answered {answer!r}")
