"""Puts notes into the outbox as the gateway's accept script does, for tests without a gateway."""

import time
from typing import Any, NamedTuple

import redis

from notecast.v1.note_pb2 import Note
from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    epoch_key,
    heads_key,
    outbox_key,
    partition_of,
)


class AcceptedNote(NamedTuple):
    """What is in the outbox now."""

    room: str
    epoch: int
    sequence: int
    note: bytes
    floor: int = 0
    """In the first note of a room that is not among the heads: the sequence before its own."""


class OutboxWriter:
    """Accepts notes; one at a time may do so for a room.

    Args:
        client: the Redis to write to.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def accept(self, room: str, text: str = "a note", at: int | None = None) -> AcceptedNote:
        """Accepts one note; `at` is the outbox id's time in milliseconds, now by default."""
        return self.accept_all(room, [text], "*" if at is None else f"{at}-*")[0]

    def accept_all(self, room: str, texts: list[str], outbox_id: str = "*") -> list[AcceptedNote]:
        """Accepts notes of one room in one transaction."""
        partition = partition_of(room)
        self._client.set(epoch_key(partition), int(time.time() * 1000), nx=True)
        epoch = int(self._client.get(epoch_key(partition)) or 0)
        found: Any = self._client.hmget(heads_key(partition), room, FLOOR_FIELD)
        head, floor = (int(sequence or 0) for sequence in found)
        accepted = [
            AcceptedNote(room, epoch, sequence, serialised(room, text))
            for sequence, text in enumerate(texts, start=(head or floor) + 1)
        ]
        if accepted and not head:
            accepted[0] = accepted[0]._replace(floor=floor)
        with self._client.pipeline(transaction=True) as pipeline:
            for note in accepted:
                pipeline.hset(heads_key(partition), room, str(note.sequence))
                pipeline.xadd(outbox_key(partition), _fields(note), id=outbox_id)
            pipeline.execute()
        return accepted

    def begin_epoch(self, partition: int) -> int:
        """Begins another epoch in a partition; returns it."""
        epoch = int(self._client.get(epoch_key(partition)) or 0) + 1
        self._client.set(epoch_key(partition), epoch)
        return epoch


def serialised(room: str, text: str) -> bytes:
    """A note without its place."""
    return Note(
        room=room, note_id=f"id of {text}"[:64], author="ann", text=text
    ).SerializeToString()


def _fields(note: AcceptedNote) -> Any:  # noqa: ANN401 - redis-py wants wider types
    fields = {"r": note.room, "e": note.epoch, "s": note.sequence, "n": note.note}
    return fields | {"f": note.floor} if note.floor else fields
