"""Puts batches of the outbox into the streams of rooms: one script call a partition."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from history.outbox_reader import Batch
from history.scripts import LuaScript, ScriptCall
from history.trim_marks import TrimMarks
from notecast_runtime.keyspace import (
    epoch_key,
    heads_key,
    log_key,
    outbox_key,
    persisted_key,
    rejected_key,
)
from notecast_runtime.redis_client import Redis

REJECTED_KEPT = 1_000
"""How many rejected entries of a partition are kept for an operator: the newest."""

_FIRST_LOG_KEY = 6  # as persist.lua counts


class Rejected(NamedTuple):
    """An entry that can't be persisted. It is in the partition's rejected stream."""

    outbox_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Persisted:
    """The batch is in the rooms' streams."""

    position: bytes
    """The outbox id up to which all is persisted, by this worker or another."""

    rejected: tuple[Rejected, ...] = ()
    """What was set aside; not what another worker had set aside before."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Another epoch has begun since the batch was read, or Redis went back; nothing was written."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Redis would not run the script, or not to its end; it may run again."""

    error: Exception


Outcome = Persisted | Refused | Failed


class Persister:
    """Runs persist.lua.

    Args:
        redis: where the outbox and the streams are.
        retention_notes: how many notes a room keeps. At least 1.
        outbox_trim_margin_seconds: for how long an entry of the outbox stays once it and what
            came before it is persisted.
        clock: seconds, only ever going forward.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        retention_notes: int,
        outbox_trim_margin_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._script = LuaScript(redis, "persist.lua")
        self._retention_notes = retention_notes
        self._marks = (
            TrimMarks(outbox_trim_margin_seconds) if outbox_trim_margin_seconds > 0 else None
        )
        self._clock = clock

    async def persist(self, batches: Sequence[Batch], *, make_room: bool = False) -> list[Outcome]:
        """Persists batches of different partitions; returns what became of each, in order.

        Args:
            batches: one that is empty has its outbox trimmed all the same.
            make_room: whether Redis is short of memory. The outbox then keeps nothing of what
                is persisted; gateways repair from the rooms' streams, which costs them more.

        Doing it again with the same batches is safe. Raises one of REDIS_AWAY where Redis
        does not answer; what was persisted is then unknown.
        """
        answers = await self._script.run(
            [self._call(batch, make_room=make_room) for batch in batches]
        )
        outcomes = [_outcome(answer) for answer in answers]
        self._note_positions(batches, outcomes)
        return outcomes

    def _note_positions(self, batches: Sequence[Batch], outcomes: Sequence[Outcome]) -> None:
        if self._marks is None:
            return
        now = self._clock()
        for batch, outcome in zip(batches, outcomes, strict=True):
            if isinstance(outcome, Persisted):
                self._marks.note(batch.partition, batch.epoch, outcome.position, now)

    def _trim_up_to(self, batch: Batch, *, make_room: bool) -> bytes:
        if self._marks is None or make_room:
            return batch.last_id
        return self._marks.due(batch.partition, batch.epoch, self._clock())

    def _call(self, batch: Batch, *, make_room: bool) -> ScriptCall:
        rooms = dict.fromkeys(entry.room for entry in batch.entries)
        logs = {room: index for index, room in enumerate(rooms, start=_FIRST_LOG_KEY)}
        own_keys = (epoch_key, persisted_key, outbox_key, heads_key, rejected_key)
        keys = [key(batch.partition) for key in own_keys]
        keys += [log_key(room) for room in logs]
        arguments: list[bytes | str | int] = [
            batch.epoch,
            batch.last_id,
            self._retention_notes,
            self._trim_up_to(batch, make_room=make_room),
            REJECTED_KEPT,
            batch.first_id,
            len(batch.corrupt),
        ]
        for error in batch.corrupt:
            arguments += (error.outbox_id, error.fault)
        for outbox_id, room, epoch, sequence, note, _ in batch.entries:
            arguments += (logs[room], room, sequence, epoch, str(outbox_id), note)
        return ScriptCall(keys, arguments)


def _outcome(answer: Any) -> Outcome:  # noqa: ANN401 - Redis's
    if isinstance(answer, Exception):
        return Failed(answer)
    if answer[0] == b"refused":
        return Refused()
    _, position, set_aside = answer
    texts = [text.decode() for text in set_aside]
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return Persisted(position, tuple(Rejected(*pair) for pair in pairs))
