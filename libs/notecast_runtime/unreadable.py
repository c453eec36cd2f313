"""Finds out what is wrong with a request that can't be parsed."""

from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from notecast_runtime.errors import FieldViolation, InvalidRequestError

_MAX_LOOKED_AT_BYTES: Final = 65_536
_MAX_DEPTH: Final = 8
_MAX_VIOLATIONS: Final = 8
_LENGTH_DELIMITED: Final = 2
"""The wire type of strings and messages (protobuf's encoding, "Message Structure")."""


def fault_of(data: bytes, kind: Descriptor | None) -> InvalidRequestError:
    """Makes the error for a request that can't be parsed.

    Args:
        data: the request as it came.
        kind: the expected message; None if unknown.
    """
    found: list[FieldViolation] = []
    if kind is not None and len(data) <= _MAX_LOOKED_AT_BYTES:
        _look_for_texts(data, kind, "", found)
    if not found:
        name = "message of this method" if kind is None else kind.full_name
        found = [FieldViolation("request", f"it can't be parsed as a {name}")]
    return InvalidRequestError(found[:_MAX_VIOLATIONS])


def _look_for_texts(data: bytes, kind: Descriptor, path: str, found: list[FieldViolation]) -> None:
    """Finds the fields whose text is not UTF-8, as proto3 demands."""
    if path.count(".") >= _MAX_DEPTH:
        return
    counts: dict[str, int] = {}
    for field, value in _values(data, kind):
        name = field.name
        if field.is_repeated:
            name = f"{name}[{counts.get(name, 0)}]"
            counts[field.name] = counts.get(field.name, 0) + 1
        if field.type == FieldDescriptor.TYPE_STRING and not _is_text(value):
            found.append(FieldViolation(path + name, "it is not UTF-8"))
        elif field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type is not None:
            _look_for_texts(value, field.message_type, f"{path}{name}.", found)
        if len(found) >= _MAX_VIOLATIONS:
            return


def _values(data: bytes, kind: Descriptor) -> list[tuple[FieldDescriptor, bytes]]:
    """The length-delimited fields, in order; none if the data are no message at all."""
    bare: Message = Empty()
    try:
        bare.ParseFromString(data)
    except DecodeError:
        return []
    return [
        (kind.fields_by_number[each.field_number], each.data)
        for each in UnknownFieldSet(bare)  # type: ignore[attr-defined]  # the stubs know no iterator
        if each.wire_type == _LENGTH_DELIMITED and each.field_number in kind.fields_by_number
    ]


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
