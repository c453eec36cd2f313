"""The errors that a caller may get, each with the data to report.

    NotecastError
    ├── InvalidRequestError     a field of the request is at fault
    ├── NoteIdTakenError        the note's id belongs to another note
    ├── InternalFaultError      a bug
    ├── DeadlineExceededError   the caller's time is up
    ├── LimitReachedError       a bound of this process is reached; try again, or elsewhere
    │   ├── TooManyOpenError
    │   │   ├── TooManyStreamsError
    │   │   └── TooManyRoomsError
    │   └── SlowReaderError
    └── UnavailableError        a part that is needed is away; try again
        ├── RedisUnavailableError
        ├── WritesRefusedError
        ├── HistoryUnavailableError
        ├── OverloadedError
        ├── StreamExpiredError
        └── ShuttingDownError

They know nothing of gRPC; `notecast_runtime.status` turns each into a status.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

_MAX_POSITIONS = 16
"""Bound on the positions in one error: clients accept about 8 KiB of trailing metadata."""


class FieldViolation(NamedTuple):
    """A fault of one field of a request."""

    field: str
    """The field's path, as in `subscriptions[0].after.sequence`."""

    fault: str
    """The fault of the value, and the bound that it breaks."""


class NotecastError(Exception):
    """An error to report to a caller.

    `reason` is its machine-readable name, which never changes (google.rpc.ErrorInfo).
    """

    reason: ClassVar[str]

    @property
    def metadata(self) -> Mapping[str, str]:
        """Machine-readable data besides the reason; bounded."""
        return {}


class InvalidRequestError(NotecastError):
    """Fields of the request are wrong; nothing was done."""

    reason = "INVALID_REQUEST"

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        super().__init__(
            "; ".join(f"{violation.field}: {violation.fault}" for violation in violations)
        )
        self.violations = tuple(violations)


class InternalFaultError(NotecastError):
    """A bug in this process; the log has the stack."""

    reason = "INTERNAL_FAULT"


class DeadlineExceededError(NotecastError):
    """The caller's deadline passed before a part that is needed answered.

    A send that fails like this may have been stored.
    """

    reason = "DEADLINE_EXCEEDED"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer came within the call's deadline of {seconds:.3g} s")
        self.seconds = seconds


class NoteIdTakenError(NotecastError):
    """Within the idempotency window, another note of the room was sent under the same id."""

    reason = "NOTE_ID_TAKEN"

    def __init__(self, note_id: str) -> None:
        super().__init__(f"note_id: {note_id!r} was used for a note with other content")
        self.note_id = note_id


class LimitReachedError(NotecastError):
    """A bound of this process is reached; try again later, or at another one."""

    retry_after_seconds: ClassVar[float] = 1.0


class TooManyOpenError(LimitReachedError):
    """The bound on open objects of a kind is reached.

    Args:
        limit: the bound.
        scope: `total`, or whose share it is: of a `client`, or of a `connection` of it.
    """

    what: ClassVar[str]

    def __init__(self, limit: int, scope: str = "total") -> None:
        super().__init__(f"{limit} {self.what}{_OF[scope]} are open here; more are not allowed")
        self.limit = limit
        self.scope = scope

    @property
    def metadata(self) -> Mapping[str, str]:
        """The bound and its scope."""
        return {"limit": str(self.limit), "scope": self.scope}


_OF = {"total": "", "client": " of this client", "connection": " of this connection"}


class TooManyStreamsError(TooManyOpenError):
    """No further stream may be opened."""

    reason = "TOO_MANY_STREAMS"
    what = "streams"


class TooManyRoomsError(TooManyOpenError):
    """No further room may be opened; those that have readers may be joined.

    Args:
        limit: the bound.
        scope: see `TooManyOpenError`.
        empty: the bound is the one on rooms that nobody has written to.
    """

    reason = "TOO_MANY_ROOMS"
    what = "rooms"

    def __init__(self, limit: int, scope: str = "total", *, empty: bool = False) -> None:
        if empty:
            self.what = "rooms without a note"  # type: ignore[misc]  # of this one
        super().__init__(limit, scope)
        self.empty = empty


class SlowReaderError(LimitReachedError):
    """The stream's client has read nothing for too long while notes waited for it.

    Args:
        positions: where to resume, for each room of the stream: its name, an epoch, and the
            sequence of the last note that was written to the stream.
        waited_seconds: how long pending data made no progress.
        limit_seconds: the bound on that.
    """

    reason = "SLOW_READER"

    def __init__(
        self,
        positions: Sequence[tuple[str, int, int]],
        waited_seconds: float,
        limit_seconds: float,
    ) -> None:
        super().__init__(
            f"nothing of this stream was read for {waited_seconds:.1f} s;"
            f" at most {limit_seconds:g} s are allowed"
        )
        self.positions = tuple(positions)
        self.waited_seconds = waited_seconds
        self.limit_seconds = limit_seconds

    @property
    def metadata(self) -> Mapping[str, str]:
        """The positions in the first rooms: room, epoch, sequence, room_2, epoch_2 and so on.

        `rooms` is the number of the stream's rooms, which may be higher.
        """
        told = {
            "rooms": str(len(self.positions)),
            "waited_seconds": f"{self.waited_seconds:.1f}",
            "limit_seconds": f"{self.limit_seconds:g}",
        }
        for number, (room, epoch, sequence) in enumerate(self.positions[:_MAX_POSITIONS], start=1):
            suffix = f"_{number}" if number > 1 else ""
            told[f"room{suffix}"] = room
            told[f"epoch{suffix}"] = str(epoch)
            told[f"sequence{suffix}"] = str(sequence)
        return told


class UnavailableError(NotecastError):
    """A part that is needed is away for now; the same call may succeed later."""

    retry_after_seconds: ClassVar[float] = 1.0


class RedisUnavailableError(UnavailableError):
    """Redis did not answer, or not in time.

    A send that fails like this may have been stored: only the answer was lost.
    """

    reason = "REDIS_UNAVAILABLE"


class WritesRefusedError(UnavailableError):
    """Redis answers but takes no writes for now; nothing was stored.

    Args:
        cause: the reason's name, such as `redis_full`.
        words: the reason in words.
    """

    reason = "WRITES_REFUSED"

    def __init__(self, cause: str, words: str) -> None:
        super().__init__(f"{words}; nothing was stored")
        self.cause = cause

    @property
    def metadata(self) -> Mapping[str, str]:
        """The cause."""
        return {"cause": self.cause}


class HistoryUnavailableError(UnavailableError):
    """No history service answered; live chat goes on."""

    reason = "HISTORY_UNAVAILABLE"


class OverloadedError(UnavailableError):
    """A bound on work that waits was reached; nothing was done."""

    reason = "OVERLOADED"


class StreamExpiredError(UnavailableError):
    """The stream has reached its greatest age; its client may open another."""

    reason = "STREAM_EXPIRED"
    retry_after_seconds = 0.1

    def __init__(self, lifetime_seconds: float) -> None:
        super().__init__(f"a stream lasts about {lifetime_seconds:g} s here; open it again")
        self.lifetime_seconds = lifetime_seconds


class ShuttingDownError(UnavailableError):
    """This process is about to end; another one serves at once."""

    reason = "SHUTTING_DOWN"
    retry_after_seconds = 0.1
