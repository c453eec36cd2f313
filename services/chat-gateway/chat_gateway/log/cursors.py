"""The meaning of a cursor in a room: pure arithmetic over cursor, head and epochs."""

from collections.abc import Sequence
from typing import NamedTuple

from chat_gateway.log.epochs import EpochEnd, surviving_sequence
from chat_gateway.log.positions import Head
from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.errors import FieldViolation, InvalidRequestError

_EARLIEST_EPOCH = 1_577_836_800_000
"""The year 2020, in ms since 1970: no epoch began before."""


class Start(NamedTuple):
    """The position at which a subscription begins."""

    next_sequence: int
    """The first sequence to deliver."""

    resumes: bool
    """Whether the client has been here before, so that it must be told of notes that are gone."""

    broken: bool = False
    """Whether the last note that the client saw has left the log; it must be told so."""


def resolve_start(
    wanted: RoomSubscription, field: str, head: Head, ends: Sequence[EpochEnd]
) -> Start:
    """Finds the sequence at which a subscription begins.

    Args:
        wanted: the subscription to one room, validated.
        field: its path in the request, for errors.
        head: the room's head.
        ends: the room's heads when earlier epochs ended, as far as they are remembered. Only a
            cursor of an earlier epoch needs them.

    Raises:
        InvalidRequestError: the room has not reached the cursor.
    """
    match wanted.WhichOneof("start"):
        case "after":
            check_reached(wanted.after, f"{field}.after", head)
            return _resume(wanted.after, head, ends)
        case "last":
            return Start(max(head.sequence - wanted.last, 0) + 1, resumes=False)
        case "from_start":
            return Start(1, resumes=False)
        case _:
            return Start(head.sequence + 1, resumes=False)


def _resume(cursor: Cursor, head: Head, ends: Sequence[EpochEnd]) -> Start:
    survived = surviving_sequence(cursor.epoch, cursor.sequence, head.epoch, ends)
    if survived is None:
        return Start(1, resumes=False, broken=True)
    return Start(survived + 1, resumes=True, broken=survived < cursor.sequence)


def check_reached(cursor: Cursor, field: str, head: Head) -> None:
    """Raises InvalidRequestError if the room can never have been at the cursor."""
    if not _EARLIEST_EPOCH <= cursor.epoch <= head.epoch:
        fault = f"{cursor.epoch} is unknown; the room's epoch is {head.epoch}"
        raise InvalidRequestError([FieldViolation(f"{field}.epoch", fault)])
    if cursor.epoch == head.epoch and cursor.sequence > head.sequence:
        fault = f"{cursor.sequence} is unknown; the room's newest note has {head.sequence}"
        raise InvalidRequestError([FieldViolation(f"{field}.sequence", fault)])
