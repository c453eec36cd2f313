"""What a cursor means in a room: pure arithmetic over cursor, head and epochs."""

from collections.abc import Sequence
from typing import NamedTuple

from chat_gateway.log.epochs import EpochEnd, surviving_sequence
from chat_gateway.log.positions import Head
from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.errors import FieldViolation, InvalidRequestError

_EARLIEST_EPOCH = 1_577_836_800_000
"""The year 2020, in ms since 1970: no epoch of ours began before."""


class Start(NamedTuple):
    """Where to begin."""

    next_sequence: int
    """The first sequence to deliver."""

    resumes: bool
    """Whether the client was here before, and must be told of notes that are gone."""

    broken: bool = False
    """Whether what the client saw last is no longer in the log, of which it must be told."""


def resolve_start(
    wanted: RoomSubscription, field: str, head: Head, ends: Sequence[EpochEnd]
) -> Start:
    """Says with which sequence a subscription begins.

    Args:
        wanted: the subscription to one room, validated.
        field: its path in the request, for errors.
        head: where the room stands.
        ends: where it stood when earlier epochs ended, as far as that is remembered;
            asked for by a cursor of an earlier epoch only.

    Raises:
        InvalidRequestError: the cursor is one that the room has not reached.
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
    """Raises InvalidRequestError where the room can't ever have been at the cursor."""
    if not _EARLIEST_EPOCH <= cursor.epoch <= head.epoch:
        fault = f"{cursor.epoch} is unknown; the room's epoch is {head.epoch}"
        raise InvalidRequestError([FieldViolation(f"{field}.epoch", fault)])
    if cursor.epoch == head.epoch and cursor.sequence > head.sequence:
        fault = f"{cursor.sequence} is unknown; the room's newest note has {head.sequence}"
        raise InvalidRequestError([FieldViolation(f"{field}.sequence", fault)])
