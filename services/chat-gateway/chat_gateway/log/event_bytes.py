"""Events as the bytes of a `SubscribeResponse`, each serialised once.

Protobuf merges concatenated messages (Encoding, "Last One Wins": repeated fields append). A frame
is one `events` field with its tag. So any run of frames, joined, is a valid `SubscribeResponse`,
and is sent to every stream without being parsed again.
"""

from collections.abc import Iterable

from chat_gateway.log.positions import RoomPosition
from chat_gateway.log.protobuf_fields import (
    EPOCH_TAG,
    EVENT_NOTE_TAG,
    EVENTS_TAG,
    SEQUENCE_TAG,
    varint,
)
from notecast.v1.event_pb2 import CaughtUp, Discontinuity, Event, Reconnect, RoomPlace
from notecast.v1.note_pb2 import Cursor


def note_bytes(epoch: int, sequence: int, note: bytes) -> bytes:
    """Adds a position to a serialised Note that has none."""
    return b"".join((note, EPOCH_TAG, varint(epoch), SEQUENCE_TAG, varint(sequence)))


def note_frame(epoch: int, sequence: int, note: bytes) -> bytes:
    """Makes the frame of a note that was serialised without its position.

    Args:
        epoch: at least 1.
        sequence: at least 1.
        note: a serialised Note without epoch and sequence.
    """
    whole = note_bytes(epoch, sequence, note)
    size = varint(len(whole))
    return b"".join(
        (
            EVENTS_TAG,
            varint(len(EVENT_NOTE_TAG) + len(size) + len(whole)),
            EVENT_NOTE_TAG,
            size,
            whole,
        )
    )


def caught_up_frame(room: str, epoch: int, sequence: int) -> bytes:
    """The frame that says that a room has been delivered up to this position."""
    cursor = Cursor(epoch=epoch, sequence=sequence)
    return _event_frame(Event(caught_up=CaughtUp(room=room, cursor=cursor)))


def discontinuity_frame(
    room: str, reason: Discontinuity.Reason.ValueType, after: Cursor, resumes_at: Cursor
) -> bytes:
    """The frame that says that after `after` the log only continues at `resumes_at`."""
    return _event_frame(
        Event(
            discontinuity=Discontinuity(
                room=room, reason=reason, after=after, resumes_at=resumes_at
            )
        )
    )


def reconnect_frame(after_ms: int, positions: Iterable[RoomPosition]) -> bytes:
    """The frame that says that the stream is about to end; resume it from the positions."""
    return _event_frame(
        Event(
            reconnect=Reconnect(
                after_ms=after_ms,
                places=[
                    RoomPlace(room=room, cursor=Cursor(epoch=epoch, sequence=sequence))
                    for room, epoch, sequence in positions
                ],
            )
        )
    )


def _event_frame(event: Event) -> bytes:
    serialised = event.SerializeToString()
    return b"".join((EVENTS_TAG, varint(len(serialised)), serialised))
