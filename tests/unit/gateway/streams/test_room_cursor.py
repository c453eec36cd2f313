"""A stream's position in a room, while epochs change under a client that does not read."""

import pytest

from chat_gateway.log.cursors import Start
from chat_gateway.log.positions import Head, RoomPosition
from chat_gateway.rooms.room import Room
from chat_gateway.streams.room_cursor import RoomCursor
from chat_gateway.streams.streams import Streams
from notecast.v1.event_pb2 import Event
from notecast_wire.fairness.shares import UNDIVIDED, Shares
from tests.support.census import living
from tests.support.room_parts import EPOCH, Window, open_room, subscribed


@pytest.fixture
def room() -> Room:
    return open_room(Head(EPOCH, 0))


@pytest.fixture
def window(room: Room) -> Window:
    """The stream of a client that has been shown the notes 1 to 3, and then stopped to read."""
    window = Window()
    subscribed(window, room, start=Start(1, resumes=True))
    hear(room, 1, 2, 3)
    room.deliver()
    window.events()
    window.close()
    return window


def hear(room: Room, *sequences: int) -> None:
    for sequence in sequences:
        room.log.append_live(sequence, b"")


def enter(room: Room, head: Head, survived: int) -> None:
    room.change_readers_epoch(head, survived)
    room.log.enter_epoch(head.epoch, survived)
    room.deliver()


def told(window: Window) -> list[Event]:
    window.open()
    return window.events()


def test_a_live_reader_is_told_of_a_break_and_goes_on_after_it(room: Room, window: Window) -> None:
    window.open()
    enter(room, Head(EPOCH + 1, 1), survived=1)
    (event,) = window.events()
    assert event.discontinuity.after.sequence == 3
    assert event.discontinuity.resumes_at.sequence == 2
    assert len(room.readers.tail) == 1
    assert room.live_position == ("lobby", EPOCH + 1, 1)


def test_a_live_reader_that_was_shown_nothing_that_is_gone_stays_live(
    room: Room, window: Window
) -> None:
    enter(room, Head(EPOCH + 1, 3), survived=3)
    assert len(room.readers.tail) == 1
    assert told(window) == []


def test_a_break_that_was_not_told_yet_is_told_although_the_next_epoch_lost_nothing(
    room: Room, window: Window
) -> None:
    enter(room, Head(EPOCH + 1, 1), survived=1)
    hear(room, 2, 3, 4)
    enter(room, Head(EPOCH + 2, 4), survived=4)
    (event,) = told(window)
    assert event.discontinuity.after.epoch == EPOCH
    assert event.discontinuity.after.sequence == 3
    assert event.discontinuity.resumes_at.epoch == EPOCH + 2
    assert event.discontinuity.resumes_at.sequence == 2


def test_a_break_that_was_not_told_yet_begins_where_the_next_epoch_lost_more(
    room: Room, window: Window
) -> None:
    enter(room, Head(EPOCH + 1, 2), survived=2)
    enter(room, Head(EPOCH + 2, 1), survived=1)
    (event,) = told(window)
    assert event.discontinuity.resumes_at.sequence == 2


def test_a_lagging_reader_that_was_shown_nothing_that_is_gone_is_told_of_no_break(
    room: Room, window: Window
) -> None:
    room.log.append_live(4, b"\x0a\x00")
    room.deliver()
    enter(room, Head(EPOCH + 1, 3), survived=3)
    assert told(window) == []


def test_the_position_of_a_client_that_has_to_be_told_is_where_it_stood(
    room: Room,
    window: Window,  # noqa: ARG001 - its stream is what is looked at
) -> None:
    enter(room, Head(EPOCH + 1, 1), survived=1)
    (cursor,) = (c for c in living(RoomCursor) if c.room is room)
    assert cursor.position == RoomPosition("lobby", EPOCH, 3)


def test_a_reader_that_leaves_gives_everything_back(room: Room) -> None:
    streams, window = Streams(Shares("streams", 2, UNDIVIDED), 60), Window()
    for at_tail in (True, False):
        stream = subscribed(window, room, start=Start(1, resumes=False), streams=streams)
        streams.add(stream)
        assert len(room.readers.tail) == at_tail or room.readers.behind
        window.leave()
        assert len(streams) == len(room.readers.tail) == len(room.readers.behind) == 0
        window.close()
        hear(room, 1)
