"""Of history that a client does not take, no more is held than it may have us hold."""

import asyncio

import pytest

from chat_gateway.log.cursors import Start
from chat_gateway.log.event_bytes import note_frame
from chat_gateway.log.positions import Head
from chat_gateway.rooms.room import Room, RoomLimits
from notecast.v1.history_pb2 import LoggedNote
from tests.support.room_parts import EPOCH, ScriptedHistory, Window, open_room, subscribed
from tests.support.waiting import eventually

NOTES = 200
NOTE_BYTES = 100
LIMITS = RoomLimits(ring_notes=100, ring_bytes=100_000, run_bytes=1_000)
FROM_START = Start(1, resumes=True)


@pytest.fixture
def history() -> ScriptedHistory:
    made = ScriptedHistory()
    made.write(EPOCH, range(1, NOTES + 1))
    made.notes = [
        LoggedNote(epoch=EPOCH, sequence=sequence, note=b"\x1a\x62" + b"x" * (NOTE_BYTES - 2))
        for sequence in range(1, NOTES + 1)
    ]
    return made


@pytest.fixture
def room(history: ScriptedHistory) -> Room:
    """A room of which the ring holds the second half of the notes."""
    return half_in_ring("lobby", history)


def half_in_ring(name: str, history: ScriptedHistory) -> Room:
    made = open_room(Head(EPOCH, NOTES // 2), history, limits=LIMITS)
    made.name = name
    for note in history.notes[NOTES // 2 :]:
        made.log.append_live(note.sequence, note_frame(EPOCH, note.sequence, note.note))
    made.deliver()
    return made


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def held(window: Window) -> int:
    return sum(window.held.values())


def sequences(window: Window) -> list[int]:
    return [event.note.sequence for event in window.events() if event.HasField("note")]


async def blocked(room: Room, messages: int = 1) -> Window:
    """A client from the start that has taken so many messages."""
    window = Window()
    window.room = messages
    subscribed(window, room, start=FROM_START)
    await settled()
    return window


async def test_a_page_counts_while_it_waits_and_no_longer(room: Room) -> None:
    window = await blocked(room)
    assert 8_000 < held(window) < 12_000
    window.open()
    await eventually(lambda: len(room.readers.tail) == 1, "it has caught up")
    assert held(window) == 0
    assert sequences(window) == [*range(1, NOTES + 1)]


async def test_what_is_lost_is_read_again_less_at_a_time_and_nothing_is_missing(
    room: Room, history: ScriptedHistory
) -> None:
    window = await blocked(room)
    seen = len(history.asked)
    window.lose_pages()
    assert held(window) == 0
    await settled()
    assert len(history.asked) == seen  # not before the client takes more
    window.open(3)
    await settled()
    window.lose_pages()
    small = history.asked[-1]
    assert small.through - small.after < NOTES // 4
    window.open()
    await eventually(lambda: len(room.readers.tail) == 1, "it has caught up")
    assert sequences(window) == [*range(1, NOTES + 1)]


async def test_a_page_that_many_share_counts_for_each_but_in_part(room: Room) -> None:
    alone = await blocked(room, messages=2)
    windows = [Window() for _ in range(50)]
    for window in windows:
        window.room = 2
        subscribed(window, room, start=Start(2, resumes=True))
    await settled()
    shared = held(windows[0])
    assert 0 < shared < held(alone) / 4
    assert {held(window) for window in windows} == {shared}


async def test_nothing_is_read_for_a_client_that_takes_nothing(
    room: Room, history: ScriptedHistory
) -> None:
    other = half_in_ring("other", history)
    window = Window()
    window.room = 1
    subscribed(window, room, other, start=FROM_START)
    await settled()
    assert len(history.asked) == 1
    window.lose_pages()
    await settled()
    assert len(history.asked) == 1  # the other room's turn has come, and there is no use in it
    window.open()
    everything = lambda: len(room.readers.tail) == len(other.readers.tail) == 1  # noqa: E731
    await eventually(everything, "both have caught up")
    seen = sequences(window)
    assert sorted(seen) == sorted([*range(1, NOTES + 1)] * 2)


async def test_a_stream_that_ends_holds_nothing(room: Room) -> None:
    window = await blocked(room)
    assert held(window)
    window.leave()
    await settled()
    assert held(window) == 0


async def test_the_first_page_is_small_for_many_a_stream_takes_no_more() -> None:
    history = ScriptedHistory()
    history.write(EPOCH, range(1, NOTES + 1))
    room = open_room(Head(EPOCH, NOTES), history, limits=LIMITS._replace(ring_bytes=1_000_000))
    window = Window()
    subscribed(window, room, start=FROM_START)
    await eventually(lambda: len(room.readers.tail) == 1, "it has read all")
    assert sequences(window) == list(range(1, NOTES + 1))
    assert history.enough_bytes == [262_144, 1_000_000]
