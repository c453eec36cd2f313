"""Writes the parts of protobuf's encoding that are made by hand: tags and varints.

The tags are computed from the contracts, so a field that gets another number or type is still
encoded as its readers expect (protobuf.dev/programming-guides/encoding).
"""

from functools import lru_cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from notecast.v1.chat_pb2 import SubscribeResponse
from notecast.v1.event_pb2 import Event
from notecast.v1.note_pb2 import Note

_WIRE_TYPES = {
    FieldDescriptor.TYPE_UINT32: 0,
    FieldDescriptor.TYPE_UINT64: 0,
    FieldDescriptor.TYPE_BYTES: 2,
    FieldDescriptor.TYPE_MESSAGE: 2,
    FieldDescriptor.TYPE_STRING: 2,
}
"""By type, as far as they are written by hand. 0: a varint; 2: length-delimited."""


@lru_cache(4_096)  # epochs, next sequences and usual sizes recur
def varint(number: int) -> bytes:
    """Encodes a number that is not negative as a base-128 varint."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field_tag(message: Descriptor, field: str) -> bytes:
    """The bytes in front of a field's value: its number and its wire type.

    Args:
        message: the descriptor of the message that has the field.
        field: the field's name.

    Raises:
        KeyError: there is no such field, or its type is none of those that are written by hand.
    """
    described = message.fields_by_name[field]
    return varint(described.number << 3 | _WIRE_TYPES[described.type])


EVENTS_TAG = field_tag(SubscribeResponse.DESCRIPTOR, "events")
EVENT_NOTE_TAG = field_tag(Event.DESCRIPTOR, "note")
EPOCH_TAG = field_tag(Note.DESCRIPTOR, "epoch")
SEQUENCE_TAG = field_tag(Note.DESCRIPTOR, "sequence")
CREATE_TIME_TAG = field_tag(Note.DESCRIPTOR, "create_time")
