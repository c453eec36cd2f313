"""The client's part of the relay: what it asks for, and what it makes of what it is sent."""

from collections.abc import Iterator
from functools import cache

from chat_gateway.log.cursors import Start, resolve_start
from chat_gateway.log.epochs import EpochEnd
from chat_gateway.log.positions import Head
from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.note_pb2 import Cursor
from notecast_client.cursors import Position
from notecast_client.resume import RoomProgress
from tests.model.redis_rules import Note
from tests.model.relay_state import FIRST_EPOCH, Client, Reads

_ROOM = "room"
NOTHING = ""
"""What a stream shows where it skips a sequence."""


def _progress(place: Position | None) -> RoomProgress:
    return RoomProgress(_subscription(place))


@cache
def _subscription(place: Position | None) -> RoomSubscription:
    if place is None:
        return RoomSubscription(room=_ROOM, from_start=True)
    return RoomSubscription(room=_ROOM, after=Cursor(epoch=place.epoch, sequence=place.sequence))


@cache
def resolved_start(place: Position | None, head: Head, ends: tuple[EpochEnd, ...]) -> Start:
    earlier = place is not None and place.epoch < head.epoch
    return resolve_start(_subscription(place), "subscriptions[0]", head, ends if earlier else ())


def frame(note: Note) -> bytes:
    """What stands for a note's frame: three bytes."""
    return bytes((note.epoch - FIRST_EPOCH, note.sequence, ord(note.body)))


def _notes(body: bytes) -> Iterator[tuple[Position, str]]:
    for at in range(0, len(body), 3):
        epoch, sequence, note = body[at : at + 3]
        yield Position(FIRST_EPOCH + epoch, sequence), chr(note)


def told(client: Client, reads: Reads, before: Position) -> Client:
    """What a client makes of a Discontinuity: after `before` the log is another one."""
    if reads is Reads.LIBRARY:
        return client._replace(told=len(client.shown))
    return client._replace(place=before, shown=client.shown[: before.sequence])


def shown(client: Client, reads: Reads, body: bytes) -> Client:
    """What a client makes of a run of frames."""
    for place, note in _notes(body):
        if reads is Reads.LIBRARY:
            if not _progress(client.place).admit_note(place):
                continue
            repeated = note in client.shown
            client = client._replace(shown=(*client.shown, note))
        else:
            # A hole may be shown of what Redis has just forgotten: it is told of later.
            hole = (NOTHING,) * (place.sequence - 1 - len(client.shown))
            repeated = place.sequence <= len(client.shown)
            client = client._replace(shown=(*client.shown, *hole, note))
        client = client._replace(place=place, repeated=client.repeated or repeated)
    return client
