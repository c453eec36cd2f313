"""Appends batches of the outbox to the streams of rooms: one script call a partition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from history.outbox_reader import Batch, OutboxPosition, empty_batch
from history.position_marks import PositionMarks
from history.scripts import LuaScript, ScriptCall
from notecast_runtime.keyspace import (
    epoch_key,
    heads_key,
    log_key,
    outbox_key,
    persisted_key,
    rejected_key,
    trims_key,
)
from notecast_runtime.redis.client import Redis

REJECTED_KEPT = 1_000
"""How many rejected entries of a partition are kept for an operator: the newest."""

_MARKS_PER_MARGIN = 8
"""Marks in the margin: more of them keep less in the outbox beyond it."""

_FIRST_LOG_KEY = 6  # counted from 1, as in persist.lua


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
    """The entries that were set aside; not those that another worker had set aside before."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was written: another epoch has begun since the read, or Redis's data went back."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Redis did not run the script, or not to its end; it may run again."""

    error: Exception


Outcome = Persisted | Refused | Failed


class Persister:
    """Runs persist.lua.

    Args:
        redis: where the outbox and the streams are.
        retention_notes: how many notes a room keeps. At least 1.
        outbox_trim_margin_seconds: how long an outbox entry stays once it and all before it are
            persisted, by Redis's clock. 0: it leaves with its batch.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        retention_notes: int,
        outbox_trim_margin_seconds: float,
    ) -> None:
        self._script = LuaScript(redis, "persist.lua")
        self._retention_notes = retention_notes
        self._marks: PositionMarks | None = None
        if outbox_trim_margin_seconds > 0:
            self._marks = PositionMarks(
                redis,
                trims_key,
                age_seconds=outbox_trim_margin_seconds,
                marks_per_age=_MARKS_PER_MARGIN,
            )
        self._trimmed: dict[int, bytes] = {}

    async def persist(self, batches: Sequence[Batch], *, make_room: bool = False) -> list[Outcome]:
        """Persists batches; returns the outcome of each, in order.

        Args:
            batches: batches of different partitions.
            make_room: whether Redis is short of memory. If so, the outbox keeps nothing that is
                persisted. Gateways then repair from the rooms' streams, which costs them more.

        Safe to repeat with the same batches. Raises one of REDIS_AWAY if Redis does not answer;
        what was persisted is then unknown.
        """
        keeps_nothing = make_room or self._marks is None
        return await self._run(
            [(batch, batch.last_id if keeps_nothing else b"") for batch in batches]
        )

    async def trim(
        self, positions: Mapping[int, OutboxPosition], *, make_room: bool = False
    ) -> dict[int, Exception]:
        """Trims outboxes up to the persisted position of a margin ago, even without new notes.

        Args:
            positions: the persisted positions, by partition.
            make_room: see `persist`. Needs no marks, and makes none.

        Returns:
            The failures, by partition.

        Raises one of REDIS_AWAY if Redis does not answer.

        Raises:
            AllRefusedError: Redis takes no writes.
        """
        due = await self._due(positions, make_room=make_room)
        failed = {n: up_to for n, up_to in due.items() if isinstance(up_to, Exception)}
        calls = [
            (empty_batch(n, positions[n]), up_to)
            for n, up_to in due.items()
            if not isinstance(up_to, Exception) and (make_room or up_to != self._trimmed.get(n))
        ]
        outcomes = await self._run(calls)
        for (batch, up_to), outcome in zip(calls, outcomes, strict=True):
            match outcome:
                case Persisted():
                    self._trimmed[batch.partition] = up_to
                case Failed(error):
                    failed[batch.partition] = error
        return failed

    async def _due(
        self, positions: Mapping[int, OutboxPosition], *, make_room: bool
    ) -> Mapping[int, bytes | Exception]:
        """The outbox ids up to which to trim, for partitions with something to trim."""
        if make_room:
            return {n: position.outbox_id for n, position in positions.items()}
        if self._marks is None:
            return {}
        reached = await self._marks.reached(positions)
        return {n: up_to for n, up_to in reached.items() if up_to != b""}

    async def _run(self, batches: Sequence[tuple[Batch, bytes]]) -> list[Outcome]:
        """Runs the script for batches, each with the outbox id up to which to trim, or none."""
        answers = await self._script.run([self._call(batch, up_to) for batch, up_to in batches])
        return [_outcome(answer) for answer in answers]

    def _call(self, batch: Batch, trim_up_to: bytes) -> ScriptCall:
        rooms = dict.fromkeys(entry.room for entry in batch.entries)
        logs = {room: index for index, room in enumerate(rooms, start=_FIRST_LOG_KEY)}
        own_keys = (epoch_key, persisted_key, outbox_key, heads_key, rejected_key)
        keys = [key(batch.partition) for key in own_keys]
        keys += [log_key(room) for room in logs]
        at_a_floor = [entry for entry in batch.entries if entry.floor]
        arguments: list[bytes | str | int] = [
            batch.epoch,
            batch.last_id,
            self._retention_notes,
            trim_up_to,
            REJECTED_KEPT,
            batch.first_id,
            len(batch.corrupt),
            len(at_a_floor),
        ]
        for error in batch.corrupt:
            arguments += (error.outbox_id, error.fault)
        for entry in at_a_floor:
            arguments += (str(entry.outbox_id), entry.floor)
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
