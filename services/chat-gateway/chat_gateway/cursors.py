"""What a cursor means in a room: pure arithmetic over cursor and head."""

from typing import NamedTuple

from chat_gateway.heads import Head
from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.errors import FieldViolation, InvalidRequestError


class Start(NamedTuple):
    """The first sequence to deliver."""

    next_sequence: int
    resumes: bool
    """Whether the client was here before, and must be told of notes that are gone."""


def resolve_start(wanted: RoomSubscription, field: str, head: Head) -> Start:
    """Says with which sequence a subscription begins.

    Args:
        wanted: the subscription to one room, validated.
        field: its path in the request, for errors.
        head: where the room stands.

    Raises:
        InvalidRequestError: the cursor is one that the room has not reached.
    """
    match wanted.WhichOneof("start"):
        case "after":
            check_reached(wanted.after, f"{field}.after", head)
            return Start(wanted.after.sequence + 1, resumes=True)
        case "last":
            return Start(max(head.sequence - wanted.last, 0) + 1, resumes=False)
        case "from_start":
            return Start(1, resumes=False)
        case _:
            return Start(head.sequence + 1, resumes=False)


def check_reached(cursor: Cursor, field: str, head: Head) -> None:
    """Raises InvalidRequestError where the room has never been at the cursor."""
    if cursor.epoch != head.epoch:
        fault = f"{cursor.epoch} is unknown; the room's epoch is {head.epoch}"
        raise InvalidRequestError([FieldViolation(f"{field}.epoch", fault)])
    if cursor.sequence > head.sequence:
        fault = f"{cursor.sequence} is unknown; the room's newest note has {head.sequence}"
        raise InvalidRequestError([FieldViolation(f"{field}.sequence", fault)])
