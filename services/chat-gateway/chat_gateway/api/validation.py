"""Checks requests; finds every fault, each with its field and its bound."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from notecast.v1.chat_pb2 import (
    ListNotesRequest,
    RoomSubscription,
    SendNoteRequest,
    SubscribeRequest,
)
from notecast_runtime.errors import FieldViolation, InvalidRequestError
from notecast_text.names import NameKind, name_fault

MAX_NAME_BYTES = 128
"""Bound on a room, an author and a note id, in bytes of UTF-8."""

MAX_LAST_NOTES = 10_000
DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 500
MAX_LABELS = 16
MAX_LABEL_KEY_BYTES = 64
MAX_LABEL_VALUE_BYTES = 256

_MAX_VIOLATIONS = 8
"""A status travels in the trailing metadata, of which clients take some 8 KiB."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode's category Cc
_CONTROLS_OF_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The bounds that an operator may set.

    Attributes:
        text_bytes: bound on a note's text, in bytes of UTF-8.
        rooms_per_stream: bound on the rooms of one subscription.
    """

    text_bytes: int
    rooms_per_stream: int


def room_fault(room: str) -> str | None:
    """Returns the fault of a room's name; None: there is none."""
    return next((violation.fault for violation in _name_faults("room", room)), None)


def check_send(request: SendNoteRequest, limits: RequestLimits) -> None:
    """Raises InvalidRequestError where a field of the note is out of its bounds."""
    _raise(
        [
            *_name_faults("room", request.room),
            *_name_faults("author", request.author, NameKind.PERSON),
            *_text_faults("text", request.text, 1, limits.text_bytes, _CONTROLS_OF_TEXT),
            *_text_faults("note_id", request.note_id, 0, MAX_NAME_BYTES),
            *_label_faults(request.labels),
        ]
    )


def check_subscribe(request: SubscribeRequest, limits: RequestLimits) -> None:
    """Raises InvalidRequestError where there are too few or too many rooms, or one is wrong."""
    count = len(request.subscriptions)
    if not 1 <= count <= limits.rooms_per_stream:
        fault = f"has {count} rooms; at least 1 and at most {limits.rooms_per_stream} are allowed"
        _raise([FieldViolation("subscriptions", fault)])
    seen: set[str] = set()
    violations: list[FieldViolation] = []
    for index, wanted in enumerate(request.subscriptions):
        field = f"subscriptions[{index}]"
        violations += _subscription_faults(field, wanted)
        if wanted.room in seen:
            violations.append(FieldViolation(f"{field}.room", "is named twice; once is allowed"))
        seen.add(wanted.room)
    _raise(violations)


def check_list(request: ListNotesRequest) -> None:
    """Raises InvalidRequestError where the room, the page size or the cursor is wrong."""
    violations = list(_name_faults("room", request.room))
    if request.page_size > MAX_PAGE_SIZE:
        fault = f"is {request.page_size}; at most {MAX_PAGE_SIZE} is allowed"
        violations.append(FieldViolation("page_size", fault))
    if request.HasField("before"):
        if not request.before.epoch:
            violations.append(FieldViolation("before.epoch", "is 0; at least 1 is allowed"))
        if not request.before.sequence:
            violations.append(FieldViolation("before.sequence", "is 0; at least 1 is allowed"))
    _raise(violations)


def _raise(violations: list[FieldViolation]) -> None:
    if violations:
        raise InvalidRequestError(violations[:_MAX_VIOLATIONS])


def _subscription_faults(field: str, wanted: RoomSubscription) -> Iterator[FieldViolation]:
    yield from _name_faults(f"{field}.room", wanted.room)
    match wanted.WhichOneof("start"):
        case "after" if not wanted.after.epoch:
            yield FieldViolation(f"{field}.after.epoch", "is 0; at least 1 is allowed")
        case "last" if not 1 <= wanted.last <= MAX_LAST_NOTES:
            fault = f"is {wanted.last}; at least 1 and at most {MAX_LAST_NOTES} are allowed"
            yield FieldViolation(f"{field}.last", fault)
        case "from_start" if not wanted.from_start:
            yield FieldViolation(f"{field}.from_start", "is false; only true is allowed")


def _name_faults(
    field: str, value: str, kind: NameKind = NameKind.ROOM
) -> Iterable[FieldViolation]:
    # As in `_text_faults`, and no blank at its ends.
    if (
        value.isascii()
        and value.isprintable()
        and 1 <= len(value) <= MAX_NAME_BYTES
        and value[0] != " " != value[-1]
    ):
        return ()
    return _all_name_faults(field, value, kind)


def _all_name_faults(field: str, value: str, kind: NameKind) -> Iterator[FieldViolation]:
    size = len(value.encode())
    if not 1 <= size <= MAX_NAME_BYTES:
        yield _size_fault(field, size, 1, MAX_NAME_BYTES)
    if fault := name_fault(value, kind):
        yield FieldViolation(field, fault)


def _text_faults(
    field: str, value: str, at_least: int, at_most: int, controls: re.Pattern[str] = _CONTROLS
) -> Iterable[FieldViolation]:
    # Most that is sent is such, and every note passes here: printable ASCII has as many
    # bytes as characters, and no control among them.
    if value.isascii() and value.isprintable() and at_least <= len(value) <= at_most:
        return ()
    return _all_text_faults(field, value, at_least, at_most, controls)


def _all_text_faults(
    field: str, value: str, at_least: int, at_most: int, controls: re.Pattern[str]
) -> Iterator[FieldViolation]:
    size = len(value.encode())
    if not at_least <= size <= at_most:
        yield _size_fault(field, size, at_least, at_most)
    if found := controls.search(value):
        fault = f"has the control character U+{ord(found[0]):04X} at {found.start()}"
        allowed = (
            "none is" if controls is _CONTROLS else "only tab, line feed and carriage return are"
        )
        yield FieldViolation(field, f"{fault}; {allowed} allowed")


def _size_fault(field: str, size: int, at_least: int, at_most: int) -> FieldViolation:
    if size < at_least:
        return FieldViolation(field, f"is empty; at least {at_least} byte is needed")
    return FieldViolation(field, f"has {size} bytes; at most {at_most} are allowed")


def _label_faults(labels: Mapping[str, str]) -> Iterator[FieldViolation]:
    if not labels:
        return
    if len(labels) > MAX_LABELS:
        fault = f"has {len(labels)} labels; at most {MAX_LABELS} are allowed"
        yield FieldViolation("labels", fault)
        return
    for key, value in labels.items():
        faults = list(_text_faults("labels", key, 1, MAX_LABEL_KEY_BYTES))
        yield from faults or _text_faults(f'labels["{key}"]', value, 0, MAX_LABEL_VALUE_BYTES)
