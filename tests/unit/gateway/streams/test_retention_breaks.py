"""What a stream is told where retention has removed notes that it was about to be shown."""

import pytest

from chat_gateway.log.cursors import Start
from chat_gateway.log.epochs import EpochEnd
from chat_gateway.log.outbox_mark import OutboxMark
from chat_gateway.log.positions import EpochHistory, Head
from chat_gateway.rooms.room import SURE_SECONDS, Room, RoomLimits
from notecast.v1.event_pb2 import Discontinuity, Event
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.outbox import OutboxId
from tests.support.room_parts import (
    EPOCH,
    ScriptedHeads,
    ScriptedHistory,
    Window,
    open_room,
    subscribed,
)
from tests.support.waiting import eventually

HEAD = 200
FIRST_LEFT = 101
LIMITS = RoomLimits(ring_notes=10, ring_bytes=10_000, run_bytes=10_000)


def trimmed_room(first_left: int = FIRST_LEFT) -> tuple[Room, ScriptedHistory]:
    """A room from which retention removed ten times what its ring holds."""
    history = ScriptedHistory()
    history.write(EPOCH, range(1, HEAD + 1))
    history.remove_before(first_left)
    return open_room(Head(EPOCH, HEAD), history, limits=LIMITS), history


async def events_until_caught_up(window: Window) -> list[Event]:
    events: list[Event] = []

    def caught_up() -> bool:
        events.extend(window.events())
        return bool(events) and events[-1].HasField("caught_up")

    await eventually(caught_up, "the stream has caught up")
    return events


def breaks(events: list[Event]) -> list[tuple[int, int]]:
    told = [event.discontinuity for event in events if event.HasField("discontinuity")]
    return [(each.after.sequence, each.resumes_at.sequence) for each in told]


def shown(events: list[Event]) -> list[int]:
    return [event.note.sequence for event in events if event.HasField("note")]


async def test_a_stream_from_the_start_begins_with_what_remains_and_is_told_of_no_break() -> None:
    (room, history), window = trimmed_room(), Window()
    subscribed(window, room, start=Start(1, resumes=False))
    events = await events_until_caught_up(window)
    assert breaks(events) == []
    assert shown(events) == list(range(FIRST_LEFT, HEAD + 1))
    assert [asked.after for asked in history.asked[:2]] == [0, FIRST_LEFT - 1]


async def test_a_cursor_before_what_remains_is_told_of_one_break_after_one_read() -> None:
    (room, history), window = trimmed_room(), Window()
    subscribed(window, room, start=Start(4, resumes=True))
    events = await events_until_caught_up(window)
    assert breaks(events) == [(3, FIRST_LEFT)]
    assert shown(events) == list(range(FIRST_LEFT, HEAD + 1))
    assert [asked.after for asked in history.asked[:2]] == [3, FIRST_LEFT - 1]


async def test_a_room_of_which_nothing_remains_is_caught_up_after_one_read() -> None:
    for resumes in (True, False):
        (room, history), window = trimmed_room(HEAD + 1), Window()
        subscribed(window, room, start=Start(1, resumes=resumes))
        events = await events_until_caught_up(window)
        assert breaks(events) == ([(0, HEAD + 1)] if resumes else [])
        assert shown(events) == []
        assert len(history.asked) == 1


async def test_what_retention_removes_during_a_replay_is_told_once() -> None:
    (room, history), window = trimmed_room(), Window()
    window.close()
    subscribed(window, room, start=Start(1, resumes=False))
    window.open(1)  # the first page
    await eventually(lambda: window.room == 0, "a page was shown")
    history.remove_before(180)
    (last_shown, *_) = reversed(shown(first := window.events()))
    window.open()
    events = first + await events_until_caught_up(window)
    (told,) = breaks(events)
    assert told[0] >= last_shown
    assert told[1] == 180
    assert shown(events) == [*range(FIRST_LEFT, told[0] + 1), *range(180, HEAD + 1)]


async def test_what_retention_removes_in_the_middle_of_a_read_is_told_to_all_who_miss_it() -> None:
    history = ScriptedHistory()
    history.write(EPOCH, range(1, 101))
    history.part_notes = 20
    history.between_parts = lambda: history.remove_before(60)
    limits = RoomLimits(ring_notes=100, ring_bytes=10_000, run_bytes=10_000)
    room, window, later = open_room(Head(EPOCH, 100), history, limits=limits), Window(), Window()
    subscribed(window, room, start=Start(4, resumes=True))
    events = await events_until_caught_up(window)
    assert breaks(events) == [(23, 60)]
    assert shown(events) == [*range(4, 24), *range(60, 101)]
    subscribed(later, room, start=Start(31, resumes=True))
    events = await events_until_caught_up(later)
    assert breaks(events) == [(30, 60)]
    assert shown(events) == list(range(60, 101))


async def test_an_open_stream_is_told_what_retention_removed_before_it_could_be_repaired() -> None:
    history = ScriptedHistory()
    history.write(EPOCH, range(1, 51))
    history.remove_before(41)
    limits = RoomLimits(ring_notes=100, ring_bytes=10_000, run_bytes=10_000)
    room, window, later = open_room(Head(EPOCH, 10), history, limits=limits), Window(), Window()
    subscribed(window, room, start=Start(11, resumes=True))
    await events_until_caught_up(window)
    room.on_head(Head(EPOCH, 50))
    events: list[Event] = []

    def all_shown() -> bool:
        room.deliver()
        events.extend(window.events())
        return 50 in shown(events)

    await eventually(all_shown, "what remains is shown")
    assert breaks(events) == [(10, 41)]
    assert shown(events) == list(range(41, 51))
    subscribed(later, room, start=Start(21, resumes=True))
    assert breaks(await events_until_caught_up(later)) == [(20, 41)]


async def test_whoever_resumes_below_the_floor_is_told_also_where_the_room_was_open() -> None:
    """Notes may have come, and grown too old, while the gateway could not hear of them."""
    history = ScriptedHistory()
    history.write(EPOCH, range(1, 11))
    room, window, later = open_room(Head(EPOCH, 10), history), Window(), Window()
    subscribed(window, room, start=Start(11, resumes=True))
    await events_until_caught_up(window)
    history.remove_before(11)
    history.head = 50
    room.on_head(Head(EPOCH, 50, is_floor=True))
    assert breaks(list(window.events())) == []
    subscribed(later, room, start=Start(13, resumes=True))
    assert breaks(await events_until_caught_up(later)) == [(12, 51)]


@pytest.mark.parametrize("in_another_epoch", [False, True])
@pytest.mark.parametrize(
    ("seconds", "gone_through", "told"), [(4, 12, []), (6, 12, [(10, 51)]), (6, 10, [])]
)
async def test_open_streams_ask_history_what_they_missed_only_where_redis_was_not_asked_for_a_while(
    seconds: float, gone_through: int, told: list[tuple[int, int]], *, in_another_epoch: bool
) -> None:
    """The room has left Redis meanwhile, with notes up to a sequence; a stream was shown 10."""
    history, heads, now = ScriptedHistory(), ScriptedHeads(), [100.0]
    history.write(EPOCH, range(1, 11))
    room = open_room(Head(EPOCH, 10), history, heads, clock=lambda: now[0])
    window = Window()
    subscribed(window, room, start=Start(11, resumes=True))
    await events_until_caught_up(window)
    room.follow(OutboxMark(OutboxId(9, 0), now[0] + 1))
    now[0] += 1 + seconds
    history.remove_before(11)
    history.head, history.gone_through = 50, gone_through
    head = Head(EPOCH + in_another_epoch, 50, is_floor=True)
    heads.answer = EpochHistory(head, (EpochEnd(EPOCH, 20),))
    room.on_head(head)
    events: list[Event] = []

    def is_live_again() -> bool:
        room.deliver()
        events.extend(window.events())
        return room.live_readers == 1 and room.live_position.sequence == 50

    await eventually(is_live_again, "the stream is at the live tail")
    assert breaks(events) == told
    assert bool(history.asked) == (seconds > SURE_SECONDS)
    room.close()


async def test_what_the_ring_still_holds_is_shown_though_retention_has_removed_it() -> None:
    (room, history), window = trimmed_room(), Window()
    for sequence in range(HEAD + 1, HEAD + 6):
        room.log.append_live(sequence, b"\x0a\x00")
    room.readers.tail.sequence = HEAD + 5
    history.remove_before(HEAD + 4)
    history.write(EPOCH, [HEAD + 4, HEAD + 5])
    subscribed(window, room, start=Start(4, resumes=True))
    events = await events_until_caught_up(window)
    assert breaks(events) == [(3, HEAD + 1)]
    assert len(events) == 1 + 5 + 1


async def test_a_break_of_the_epoch_resumes_at_the_first_note_that_retention_has_left() -> None:
    (room, _), window = trimmed_room(), Window()
    forgotten = Cursor(epoch=EPOCH - 9, sequence=7)
    subscribed(window, room, start=Start(1, resumes=False, broken=True), after=forgotten)
    events = await events_until_caught_up(window)
    assert breaks(events) == [(7, FIRST_LEFT)]
    (told,) = (event.discontinuity for event in events if event.HasField("discontinuity"))
    assert told.reason == Discontinuity.REASON_EPOCH
    assert told.after == forgotten
    assert shown(events) == list(range(FIRST_LEFT, HEAD + 1))


async def test_whoever_missed_nothing_of_a_room_that_was_forgotten_is_told_nothing() -> None:
    """With and without a note that the room has got since."""
    for young in ([], [HEAD, HEAD + 1]):
        for place, expected in ((50, []), (49, [(49, young[0] if young else HEAD)])):
            history = ScriptedHistory()
            history.write(EPOCH, young)
            history.head = young[-1] if young else HEAD - 1
            history.gone_through = 50
            room, window = open_room(Head(EPOCH, history.head), history, limits=LIMITS), Window()
            subscribed(window, room, start=Start(place + 1, resumes=True))
            events = await events_until_caught_up(window)
            assert breaks(events) == expected
            assert shown(events) == young
            assert events[-1].caught_up.cursor.sequence == history.head
            assert len(history.asked) == (2 if young else 1)


async def test_a_stalled_stream_at_the_floor_is_told_nothing_however_far_that_rises() -> None:
    """By more than the ring holds: nobody remembers there that nothing was missed."""
    history = ScriptedHistory()
    history.gone_through = 7
    room, window = open_room(Head(EPOCH, 7, is_floor=True), history, limits=LIMITS), Window()
    window.close()
    subscribed(window, room, start=Start(8, resumes=True))
    history.head = HEAD
    room.on_head(Head(EPOCH, HEAD, is_floor=True))
    window.open()
    events = await events_until_caught_up(window)
    assert breaks(events) == []
    assert events[-1].caught_up.cursor.sequence == HEAD
