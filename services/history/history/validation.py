"""Checks requests against their bounds."""

from notecast.v1.history_pb2 import HistoryServiceListNotesRequest, ReplayRequest
from notecast_runtime.errors import FieldViolation, InvalidRequestError

MAX_ROOM_BYTES = 128
MAX_PAGE_SIZE = 500


def check_replay(request: ReplayRequest) -> None:
    """Raises InvalidRequestError, naming each field that breaks its bound."""
    violations = _room_violations(request.room)
    if request.through and request.through < request.after:
        violations.append(
            FieldViolation(
                "through", f"{request.through} is less than after, which is {request.after}"
            )
        )
    _raise_if_any(violations)


def check_list_notes(request: HistoryServiceListNotesRequest) -> None:
    """Raises InvalidRequestError, naming each field that breaks its bound."""
    violations = _room_violations(request.room)
    if not 1 <= request.page_size <= MAX_PAGE_SIZE:
        violations.append(
            FieldViolation("page_size", f"{request.page_size} is not from 1 to {MAX_PAGE_SIZE}")
        )
    _raise_if_any(violations)


def _room_violations(room: str) -> list[FieldViolation]:
    size = len(room.encode())
    if 1 <= size <= MAX_ROOM_BYTES:
        return []
    return [FieldViolation("room", f"has {size} bytes; it takes 1 to {MAX_ROOM_BYTES}")]


def _raise_if_any(violations: list[FieldViolation]) -> None:
    if violations:
        raise InvalidRequestError(violations)
