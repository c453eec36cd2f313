from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.log.event_bytes import (
    caught_up_frame,
    discontinuity_frame,
    note_bytes,
    note_frame,
)
from notecast.v1.chat_pb2 import SubscribeResponse
from notecast.v1.event_pb2 import CaughtUp, Discontinuity, Event
from notecast.v1.note_pb2 import Cursor, Note

PLACES = st.integers(min_value=1, max_value=2**64 - 1)
NOTES = st.builds(
    Note,
    room=st.text(max_size=200),
    note_id=st.text(max_size=40),
    author=st.text(max_size=40),
    text=st.text(max_size=20_000),
    labels=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)


@given(NOTES, PLACES, PLACES)
def test_a_note_and_its_place_are_the_whole_note(note: Note, epoch: int, sequence: int) -> None:
    whole = Note.FromString(note_bytes(epoch, sequence, note.SerializeToString()))
    note.epoch, note.sequence = epoch, sequence
    assert whole == note


@given(st.lists(NOTES, max_size=5), PLACES)
def test_joined_frames_are_one_response_with_the_events_in_order(
    notes: list[Note], epoch: int
) -> None:
    frames = [
        note_frame(epoch, sequence, note.SerializeToString())
        for sequence, note in enumerate(notes, start=1)
    ]
    frames.append(caught_up_frame("room", epoch, len(notes)))
    response = SubscribeResponse.FromString(b"".join(frames))
    assert [event.note.text for event in response.events[:-1]] == [note.text for note in notes]
    assert [event.note.sequence for event in response.events[:-1]] == [*range(1, len(notes) + 1)]
    cursor = Cursor(epoch=epoch, sequence=len(notes))
    assert response.events[-1] == Event(caught_up=CaughtUp(room="room", cursor=cursor))


def test_a_discontinuity_says_where_the_reader_stood_and_where_the_log_goes_on() -> None:
    after, resumes_at = Cursor(epoch=7, sequence=3), Cursor(epoch=7, sequence=300)
    frame = discontinuity_frame("room", Discontinuity.REASON_RETENTION, after, resumes_at)
    (event,) = SubscribeResponse.FromString(frame).events
    assert event.discontinuity == Discontinuity(
        room="room",
        reason=Discontinuity.REASON_RETENTION,
        after=after,
        resumes_at=resumes_at,
    )
