"""A stream's place in a room, while epochs change under a client that does not read."""

import asyncio
from collections.abc import Callable

import pytest

from chat_gateway.cursors import Start
from chat_gateway.fan_out import FanOut
from chat_gateway.gap_reader import GapReader
from chat_gateway.heads import Head, Heads
from chat_gateway.history import History
from chat_gateway.outbox_range import OutboxRange
from chat_gateway.ring_budget import RingBudget
from chat_gateway.room import Room, RoomLimits
from chat_gateway.room_cursor import RoomCursor
from notecast.v1.chat_pb2 import SubscribeResponse
from notecast.v1.event_pb2 import Event
from notecast_runtime.errors import NotecastError

EPOCH = 1_700_000_000_000


class Window:
    """An outlet whose client reads, or does not."""

    def __init__(self) -> None:
        self.reads = True
        self.taken = b""
        self.waiting_since: float | None = None

    def on_writable(self, callback: Callable[[], None]) -> None:
        pass

    def write(self, body: bytes) -> bool:
        if self.reads:
            self.taken += body
        return self.reads

    def end(self, error: NotecastError) -> None:
        raise error

    def cut(self, error: NotecastError) -> None:
        raise error

    def events(self) -> list[Event]:
        taken, self.taken = self.taken, b""
        return list(SubscribeResponse.FromString(taken).events)


def room_at(head: Head) -> Room:
    """A room that needs to ask nobody."""
    history: History = None  # type: ignore[assignment]
    outbox: OutboxRange = None  # type: ignore[assignment]
    heads: Heads = None  # type: ignore[assignment]
    limits = RoomLimits(ring_notes=8, ring_bytes=1_000, run_bytes=1_000)
    room = Room(
        "lobby", history, GapReader(outbox, history), heads, FanOut(), limits, RingBudget(1_000_000)
    )
    room.open(head)
    return room


@pytest.fixture
def window() -> Window:
    return Window()


@pytest.fixture
def room() -> Room:
    return room_at(Head(EPOCH, 0))


@pytest.fixture
def cursor(room: Room, window: Window) -> RoomCursor:
    """A cursor whose client has been shown the notes 1 to 3, and then stopped to read."""
    cursor = RoomCursor(room, window, asyncio.Semaphore(), Start(1, resumes=True), 0)
    for sequence in (1, 2, 3):
        room.log.hear(sequence, b"")
    cursor.deliver()
    window.events()
    window.reads = False
    return cursor


def enter(room: Room, cursor: RoomCursor, head: Head, survived: int) -> None:
    room.log.enter_epoch(head.epoch, survived)
    cursor.enter_epoch(head, survived)
    cursor.deliver()


def test_a_break_that_was_not_told_yet_is_told_although_the_next_epoch_lost_nothing(
    room: Room, cursor: RoomCursor, window: Window
) -> None:
    enter(room, cursor, Head(EPOCH + 1, 1), survived=1)
    for sequence in (2, 3, 4):
        room.log.hear(sequence, b"")
    enter(room, cursor, Head(EPOCH + 2, 4), survived=4)
    window.reads = True
    cursor.deliver()
    (event,) = window.events()
    told = event.discontinuity
    assert (told.after.epoch, told.after.sequence) == (EPOCH, 3)
    assert (told.resumes_at.epoch, told.resumes_at.sequence) == (EPOCH + 2, 2)


def test_a_break_that_was_not_told_yet_begins_where_the_next_epoch_lost_more(
    room: Room, cursor: RoomCursor, window: Window
) -> None:
    enter(room, cursor, Head(EPOCH + 1, 2), survived=2)
    enter(room, cursor, Head(EPOCH + 2, 1), survived=1)
    window.reads = True
    cursor.deliver()
    (event,) = window.events()
    assert event.discontinuity.resumes_at.sequence == 2


def test_who_was_shown_nothing_that_is_gone_is_told_of_no_break(
    room: Room, cursor: RoomCursor, window: Window
) -> None:
    enter(room, cursor, Head(EPOCH + 1, 3), survived=3)
    window.reads = True
    cursor.deliver()
    assert window.events() == []


def test_the_place_of_a_client_that_has_to_be_told_is_where_it_stood(
    room: Room, cursor: RoomCursor
) -> None:
    enter(room, cursor, Head(EPOCH + 1, 1), survived=1)
    assert tuple(cursor.place) == ("lobby", EPOCH, 3)
