"""The errors that a caller may get, each knowing what there is to say about it.

    NotecastError
    ├── InvalidRequestError     a field of the request is at fault
    ├── NoteIdTakenError        the note's id belongs to another note
    └── UnavailableError        a part that is needed is away; try again
        ├── RedisUnavailableError
        ├── HistoryUnavailableError
        ├── OverloadedError
        └── ShuttingDownError

They know nothing of gRPC; `notecast_runtime.status` says what each becomes there.
"""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple


class FieldViolation(NamedTuple):
    """What is wrong with one field of a request."""

    field: str
    """The field's path, as in `subscriptions[0].after.sequence`."""

    fault: str
    """What is wrong with the value, and the bound that it breaks."""


class NotecastError(Exception):
    """Whatever a caller is to be told.

    `reason` is the machine-readable name, fixed for good (google.rpc.ErrorInfo).
    """

    reason: ClassVar[str]


class InvalidRequestError(NotecastError):
    """Fields of the request are at fault; nothing was done."""

    reason = "INVALID_REQUEST"

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        super().__init__(
            "; ".join(f"{violation.field}: {violation.fault}" for violation in violations)
        )
        self.violations = tuple(violations)


class NoteIdTakenError(NotecastError):
    """Within the idempotency window, another note of the room was sent under the same id."""

    reason = "NOTE_ID_TAKEN"

    def __init__(self, note_id: str) -> None:
        super().__init__(f"note_id: {note_id!r} was used for a note with other content")
        self.note_id = note_id


class UnavailableError(NotecastError):
    """Something that is needed is away for now; the same call may succeed later."""

    retry_after_seconds: ClassVar[float] = 1.0


class RedisUnavailableError(UnavailableError):
    """Redis did not answer, or not in time.

    A send that fails so may have been stored all the same: the answer was lost.
    """

    reason = "REDIS_UNAVAILABLE"


class HistoryUnavailableError(UnavailableError):
    """No history service answered; live chat goes on."""

    reason = "HISTORY_UNAVAILABLE"


class OverloadedError(UnavailableError):
    """A bound on work that waits was reached; nothing was done."""

    reason = "OVERLOADED"


class ShuttingDownError(UnavailableError):
    """This process is about to end; another one serves at once."""

    reason = "SHUTTING_DOWN"
    retry_after_seconds = 0.1
