import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.log.cursors import Start, resolve_start
from chat_gateway.log.epochs import EpochEnd
from chat_gateway.log.positions import Head
from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.errors import InvalidRequestError

EPOCH = 1_700_000_000_000
NONE: list[EpochEnd] = []
HEADS = st.integers(0, 10_000)


@given(HEADS)
def test_a_subscription_that_names_no_start_begins_with_the_next_note(head: int) -> None:
    start = resolve_start(RoomSubscription(room="r"), "f", Head(EPOCH, head), NONE)
    assert start == Start(head + 1, resumes=False)


@given(HEADS)
def test_from_the_start_is_the_first_sequence(head: int) -> None:
    wanted = RoomSubscription(room="r", from_start=True)
    assert resolve_start(wanted, "f", Head(EPOCH, head), NONE) == Start(1, resumes=False)


@given(HEADS, st.integers(1, 10_000))
def test_the_last_n_notes_are_n_or_all_that_there_are(head: int, last: int) -> None:
    start = resolve_start(RoomSubscription(room="r", last=last), "f", Head(EPOCH, head), NONE)
    assert head + 1 - start.next_sequence == min(last, head)


@given(HEADS, st.data())
def test_a_cursor_resumes_with_the_note_after_it(head: int, data: st.DataObject) -> None:
    sequence = data.draw(st.integers(0, head))
    wanted = RoomSubscription(room="r", after=Cursor(epoch=EPOCH, sequence=sequence))
    assert resolve_start(wanted, "f", Head(EPOCH, head), NONE) == Start(sequence + 1, resumes=True)


@pytest.mark.parametrize(
    ("cursor", "field", "words"),
    [
        (Cursor(epoch=EPOCH, sequence=11), "f.after.sequence", "11 is unknown"),
        (Cursor(epoch=EPOCH + 1, sequence=1), "f.after.epoch", "1700000000001 is unknown"),
        (Cursor(epoch=999, sequence=1), "f.after.epoch", "999 is unknown"),
    ],
)
def test_a_cursor_that_the_room_has_not_reached_is_refused(
    cursor: Cursor, field: str, words: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        resolve_start(RoomSubscription(room="r", after=cursor), "f", Head(EPOCH, 10), NONE)
    (violation,) = refused.value.violations
    assert violation.field == field
    assert words in violation.fault


@pytest.mark.parametrize(
    ("cursor", "start"),
    [
        (Cursor(epoch=EPOCH - 9, sequence=4), Start(5, resumes=True)),
        (Cursor(epoch=EPOCH - 9, sequence=5), Start(5, resumes=True, broken=True)),
        (Cursor(epoch=EPOCH - 5, sequence=8), Start(9, resumes=True)),
        (Cursor(epoch=EPOCH - 5, sequence=9), Start(9, resumes=True, broken=True)),
        # Not remembered, and begun while one was that is: good as far as that one.
        (Cursor(epoch=EPOCH - 7, sequence=4), Start(5, resumes=True)),
        (Cursor(epoch=EPOCH - 7, sequence=6), Start(5, resumes=True, broken=True)),
        (Cursor(epoch=EPOCH - 4, sequence=9), Start(9, resumes=True, broken=True)),
        # Older than all that are remembered: nothing is known of it.
        (Cursor(epoch=EPOCH - 10, sequence=1), Start(1, resumes=False, broken=True)),
    ],
)
def test_a_cursor_of_an_earlier_epoch_holds_up_to_where_the_log_agrees(
    cursor: Cursor, start: Start
) -> None:
    ends = [EpochEnd(EPOCH - 9, 4), EpochEnd(EPOCH - 5, 8)]
    wanted = RoomSubscription(room="r", after=cursor)
    assert resolve_start(wanted, "f", Head(EPOCH, 10), ends) == start
