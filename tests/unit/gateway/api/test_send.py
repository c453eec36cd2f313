import re

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.api.send import NoteIds, timed_note
from notecast.v1.note_pb2 import Note

NOTES = st.builds(
    Note,
    room=st.text(max_size=200),
    note_id=st.text(max_size=40),
    author=st.text(max_size=40),
    text=st.text(max_size=20_000),
    labels=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)
TIMES = st.builds(
    Timestamp,
    seconds=st.integers(min_value=0, max_value=253_402_300_799),
    nanos=st.integers(min_value=0, max_value=999_999_999),
)


@given(NOTES, TIMES)
def test_a_note_and_its_time_are_the_note_with_its_time(note: Note, create_time: Timestamp) -> None:
    timed = Note.FromString(timed_note(note.SerializeToString(), create_time))
    note.create_time.CopyFrom(create_time)
    assert timed == note


COUNT = 1_000
"""Several times what is drawn at once."""


def test_ids_are_32_hexadecimal_digits_and_never_repeat() -> None:
    one, other = NoteIds(), NoteIds()
    made = [ids.make() for _ in range(COUNT) for ids in (one, other)]
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in made)
    assert len(set(made)) == 2 * COUNT
