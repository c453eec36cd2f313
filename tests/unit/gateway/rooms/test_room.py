"""A room that reads what it has not heard, while its log changes under the reading."""

import asyncio

import pytest

from chat_gateway.log.announcement import Announcement
from chat_gateway.log.cursors import Start
from chat_gateway.log.epochs import EpochEnd
from chat_gateway.log.outbox_mark import OutboxMark
from chat_gateway.log.positions import EpochHistory, Head
from chat_gateway.log.room_log import SequenceRange
from chat_gateway.rooms.room import Room
from notecast_runtime.errors import HistoryUnavailableError
from notecast_runtime.outbox import OutboxId
from tests.support.room_parts import (
    CLIENT,
    EPOCH,
    ScriptedHeads,
    ScriptedHistory,
    Window,
    open_room,
    subscribed,
)
from tests.support.waiting import eventually


@pytest.fixture
def history() -> ScriptedHistory:
    return ScriptedHistory()


@pytest.fixture
def heads() -> ScriptedHeads:
    return ScriptedHeads()


@pytest.fixture
def room(history: ScriptedHistory, heads: ScriptedHeads) -> Room:
    return open_room(Head(EPOCH, 10), history, heads)


async def test_a_place_that_the_ring_has_reached_meanwhile_is_not_read_again(
    room: Room, history: ScriptedHistory
) -> None:
    history.write(EPOCH, range(1, 11))
    await room.read_past(0, CLIENT)
    assert room.log.oldest == 1
    page = await room.read_past(5, CLIENT)
    assert (page.runs, page.next_sequence) == ((), 6)
    assert history.asked == [SequenceRange(0, 10)]


@pytest.mark.parametrize("floor", [12, 1_000_000])
async def test_a_room_that_was_forgotten_passes_over_what_is_gone_and_its_readers_hear_nothing(
    room: Room, history: ScriptedHistory, floor: int
) -> None:
    window = Window()
    subscribed(window, room, start=Start(11, resumes=False))
    assert [event.WhichOneof("kind") for event in window.events()] == ["caught_up"]
    room.on_head(Head(EPOCH, floor, OutboxId(1, 0), is_floor=True))
    assert room.live_position.sequence == room.log.newest == floor
    room.on_announcement(Announcement(EPOCH, floor + 1, OutboxId(2, 0), b""))
    room.deliver()
    (event,) = window.events()
    assert event.note.sequence == floor + 1
    assert history.asked == [], "nothing was missing"


async def test_a_room_at_the_floor_has_no_note_until_one_is_heard_wherever_the_floor_goes() -> None:
    room = open_room(Head(EPOCH, 7, OutboxId(1, 0), is_floor=True))
    assert not room.has_notes
    room.on_head(Head(EPOCH, 40, OutboxId(1, 0), is_floor=True))
    assert not room.has_notes
    room.on_announcement(Announcement(EPOCH, 41, OutboxId(2, 0), b""))
    assert room.has_notes


async def test_readers_that_ask_for_the_same_at_once_share_one_read(
    room: Room, history: ScriptedHistory
) -> None:
    history.write(EPOCH, range(1, 11))
    pages = await asyncio.gather(*(room.read_past(3, CLIENT) for _ in range(1_000)))
    assert history.asked == [SequenceRange(3, 10)]
    assert all(page is pages[0] for page in pages)


async def test_notes_of_a_later_epoch_do_not_count_before_the_log_has_entered_it(
    room: Room, history: ScriptedHistory, heads: ScriptedHeads
) -> None:
    history.write(EPOCH, range(1, 5))
    history.write(EPOCH + 1, range(5, 11))
    heads.answer = EpochHistory(Head(EPOCH + 1, 10), [EpochEnd(EPOCH, 4)])
    with pytest.raises(HistoryUnavailableError):
        await room.read_past(0, CLIENT)
    await room.reach(EPOCH + 1)
    await eventually(lambda: room.log.newest == 10, "the new epoch's notes are fetched")
    assert room.log.oldest == 5
    page = await room.read_past(0, CLIENT)
    assert page.next_sequence == 5


async def test_a_gap_is_not_filled_with_notes_of_a_later_epoch(
    room: Room, history: ScriptedHistory, heads: ScriptedHeads
) -> None:
    history.write(EPOCH, range(1, 10))
    history.write(EPOCH + 1, (10, 11, 12))
    heads.answer = EpochHistory(Head(EPOCH + 1, 12), [EpochEnd(EPOCH, 9)])
    room.on_head(Head(EPOCH, 12))
    await room.reach(EPOCH + 1)
    await eventually(lambda: room.log.newest == 12, "the new epoch's notes are fetched")
    assert room.log.epoch == EPOCH + 1
    assert room.log.oldest == 10
    room.close()


@pytest.mark.parametrize(("end", "broken_at"), [(15, None), (12, 13), (9, 10)])
async def test_a_reader_that_has_seen_more_is_told_of_what_is_gone_and_not_of_what_was_not_heard(
    room: Room, history: ScriptedHistory, heads: ScriptedHeads, end: int, broken_at: int | None
) -> None:
    """The room has heard ten notes, and the reader has come after the fifteenth."""
    history.write(EPOCH, range(1, end + 1))
    history.write(EPOCH + 1, range(end + 1, 17))
    heads.answer = EpochHistory(Head(EPOCH + 1, 16), [EpochEnd(EPOCH, end)])
    window = Window()
    subscribed(window, room, start=Start(16, resumes=True))
    await room.reach(EPOCH + 1)
    await eventually(lambda: room.log.newest == 16, "what was not heard is fetched")
    room.deliver()
    breaks = [e.discontinuity for e in window.events() if e.HasField("discontinuity")]
    assert [told.resumes_at.sequence for told in breaks] == ([broken_at] if broken_at else [])
    room.close()


@pytest.mark.parametrize("behind", [(EPOCH - 1, 10), (EPOCH, 9)], ids=["its epoch", "its head"])
async def test_a_history_whose_data_are_older_has_not_answered(
    room: Room, history: ScriptedHistory, behind: tuple[int, int]
) -> None:
    history.epoch, history.head = behind
    with pytest.raises(HistoryUnavailableError):
        await room.read_past(3, CLIENT)
    history.epoch = EPOCH
    history.write(EPOCH, range(1, 11))
    page = await room.read_past(3, CLIENT)
    assert page.next_sequence == 11


async def test_what_the_outbox_held_in_one_epoch_is_not_looked_for_in_the_next(
    room: Room, heads: ScriptedHeads
) -> None:
    """The room has lost nothing, but another one of its partition the newest entry."""
    mark = OutboxMark(OutboxId(9, 0), 0)
    room.follow(mark)
    heads.answer = EpochHistory(Head(EPOCH + 1, 10, OutboxId(8, 0)), [EpochEnd(EPOCH, 10)])
    await room.reach(EPOCH + 1)
    assert room.outbox_id == OutboxId(8, 0)
    mark.outbox_id = OutboxId(10, 0)
    assert room.outbox_id == OutboxId(8, 0)
    room.close()


@pytest.mark.parametrize(("end", "kept"), [(11, 5), (10, 0)])
async def test_the_entry_of_a_note_that_is_not_lost_is_where_repair_begins_in_the_next_epoch(
    room: Room, heads: ScriptedHeads, end: int, kept: int
) -> None:
    room.on_announcement(Announcement(EPOCH, 11, OutboxId(5, 0), b""))
    room.follow(OutboxMark(OutboxId(9, 0), 0))
    heads.answer = EpochHistory(Head(EPOCH + 1, 12, OutboxId(20, 0)), [EpochEnd(EPOCH, end)])
    await room.reach(EPOCH + 1)
    assert room.outbox_id == OutboxId(kept, 0)
    room.close()


async def test_a_room_agrees_with_a_head_that_it_has_heard_and_with_no_other() -> None:
    room = open_room(Head(EPOCH, 10))
    outbox_id = OutboxId(7, 1)
    assert room.agrees(Head(EPOCH, 10, outbox_id), 0)
    assert room.outbox_id == outbox_id, "all that comes is behind it"
    assert not room.agrees(Head(EPOCH, 11, OutboxId(8, 0)), 0), "a note was not heard"
    assert not room.agrees(Head(EPOCH + 1, 10, OutboxId(8, 0)), 0), "another epoch"
    assert room.agrees(Head(EPOCH, 9, OutboxId(9, 0)), 0), (
        "the newest was heard after the head was read"
    )
    assert room.outbox_id == outbox_id, "or it would be ahead of a note that it has not"


async def test_a_room_that_misses_a_note_agrees_with_no_head_until_it_is_there() -> None:
    room = open_room(Head(EPOCH, 10))
    room.on_announcement(Announcement(EPOCH, 12, OutboxId(9, 0), b""))
    assert not room.agrees(Head(EPOCH, 10, OutboxId(8, 0)), 0)
    room.close()
