import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.log.protobuf_fields import (
    CREATE_TIME_TAG,
    EPOCH_TAG,
    EVENT_NOTE_TAG,
    EVENTS_TAG,
    SEQUENCE_TAG,
    field_tag,
    varint,
)
from notecast.v1.chat_pb2 import SubscribeResponse
from notecast.v1.event_pb2 import Event
from notecast.v1.note_pb2 import Note


@pytest.mark.parametrize(
    ("tag", "value", "message"),
    [
        (EVENTS_TAG, b"\0", SubscribeResponse(events=[Event()])),
        (EVENT_NOTE_TAG, b"\0", Event(note=Note())),
        (EPOCH_TAG, b"\x01", Note(epoch=1)),
        (SEQUENCE_TAG, b"\x01", Note(sequence=1)),
        (CREATE_TIME_TAG, b"\0", Note(create_time=Timestamp())),
    ],
)
def test_a_tag_is_what_protobuf_writes(tag: bytes, value: bytes, message: Message) -> None:
    assert tag + value == message.SerializeToString()


@given(st.integers(min_value=1, max_value=2**64 - 1))
def test_a_varint_is_what_protobuf_writes(number: int) -> None:
    assert EPOCH_TAG + varint(number) == Note(epoch=number).SerializeToString()


@pytest.mark.parametrize("field", ["labels_2", "nobody"])
def test_a_field_that_is_not_in_the_contract_has_no_tag(field: str) -> None:
    with pytest.raises(KeyError, match=field):
        field_tag(Note.DESCRIPTOR, field)
