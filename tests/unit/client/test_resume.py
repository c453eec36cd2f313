"""What a subscription asks for, and what it hands out, whatever happens to its streams."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from notecast.v1 import chat_pb2, event_pb2, note_pb2
from notecast_client.cursors import Position, position_of
from notecast_client.resume import Progress

FIRST_EPOCH = 7


def note(epoch: int, sequence: int, room: str = "r") -> event_pb2.Event:
    return event_pb2.Event(note=note_pb2.Note(room=room, epoch=epoch, sequence=sequence))


def caught_up(epoch: int, sequence: int, room: str = "r") -> event_pb2.Event:
    cursor = note_pb2.Cursor(epoch=epoch, sequence=sequence)
    return event_pb2.Event(caught_up=event_pb2.CaughtUp(room=room, cursor=cursor))


def after(progress: Progress, index: int = 0) -> Position | None:
    subscription = progress.request().subscriptions[index]
    return position_of(subscription.after) if subscription.HasField("after") else None


def live(*rooms: str) -> Progress:
    return Progress([chat_pb2.RoomSubscription(room=room) for room in rooms])


def test_the_first_request_is_what_was_asked_for() -> None:
    starts = [
        chat_pb2.RoomSubscription(room="a"),
        chat_pb2.RoomSubscription(room="b", last=3),
        chat_pb2.RoomSubscription(room="c", from_start=True),
        chat_pb2.RoomSubscription(room="d", after=note_pb2.Cursor(epoch=1, sequence=2)),
    ]
    assert list(Progress(starts).request().subscriptions) == starts


def test_each_room_resumes_after_its_own_last_note() -> None:
    progress = live("a", "b")
    for event in (note(7, 3, "a"), note(7, 9, "b"), note(7, 4, "a")):
        assert progress.admit(event)
    assert (after(progress, 0), after(progress, 1)) == (Position(7, 4), Position(7, 9))


def test_a_room_that_caught_up_without_a_note_resumes_where_it_caught_up() -> None:
    progress = live("r")
    assert progress.admit(caught_up(7, 0))
    assert after(progress) == Position(7, 0)


def test_having_caught_up_never_moves_a_room_backwards() -> None:
    progress = live("r")
    progress.admit(note(7, 5))
    progress.admit(caught_up(7, 4))
    assert after(progress) == Position(7, 5)
    assert not progress.admit(note(7, 5))


def test_a_later_epoch_begins_after_whatever_sequence_the_earlier_one_had() -> None:
    progress = live("r")
    assert progress.admit(note(7, 100))
    assert progress.admit(note(8, 1))
    assert not progress.admit(note(7, 101))
    assert after(progress) == Position(8, 1)


def test_a_break_is_handed_out_and_moves_nothing() -> None:
    progress = live("r")
    progress.admit(note(7, 5))
    broken = event_pb2.Discontinuity(room="r", resumes_at=note_pb2.Cursor(epoch=7, sequence=9))
    assert progress.admit(event_pb2.Event(discontinuity=broken))
    assert after(progress) == Position(7, 5)


def test_events_of_unknown_kinds_and_rooms_are_passed_over() -> None:
    progress = live("r")
    assert not progress.admit(event_pb2.Event())
    assert not progress.admit(note(7, 1, "another"))
    assert after(progress) is None


def test_a_refused_cursor_is_told_of_and_its_room_alone_begins_from_its_start() -> None:
    progress = live("a", "b")
    progress.admit(note(7, 3, "a"))
    progress.admit(note(7, 9, "b"))
    (event,) = progress.forget(["subscriptions[1].after.epoch"])
    broken = event.discontinuity
    assert (broken.room, position_of(broken.after)) == ("b", Position(7, 9))
    assert broken.reason == event_pb2.Discontinuity.REASON_EPOCH
    assert not broken.HasField("resumes_at")
    assert after(progress, 0) == Position(7, 3)
    assert progress.request().subscriptions[1].from_start
    assert progress.admit(note(8, 1, "b"))


def test_a_room_that_begins_again_shows_whatever_its_new_log_holds() -> None:
    for epoch in (6, 7, 8):
        progress = live("r")
        progress.admit(note(7, 3))
        progress.forget(["subscriptions[0].after"])
        assert progress.admit(note(epoch, 1))
        assert after(progress) == Position(epoch, 1)


def test_a_refused_cursor_of_the_callers_own_is_theirs_to_correct() -> None:
    cursor = note_pb2.Cursor(epoch=1, sequence=2)
    progress = Progress([chat_pb2.RoomSubscription(room="r", after=cursor)])
    assert progress.forget(["subscriptions[0].after"]) == []
    assert after(progress) == Position(1, 2)


def test_a_refusal_for_any_other_fault_forgets_nothing() -> None:
    progress = live("r")
    progress.admit(note(7, 3))
    for fields in (
        [],
        ["subscriptions"],
        ["subscriptions[0].room"],
        ["subscriptions[5].after"],
        ["subscriptions[0].after", "subscriptions[0].room"],
    ):
        assert progress.forget(fields) == []
    assert after(progress) == Position(7, 3)


@dataclass
class Server:
    """A log that grows, loses old notes, begins new epochs, and repeats itself on a resumption."""

    log: list[Position] = field(default_factory=list)
    epoch: int = FIRST_EPOCH
    removed: set[Position] = field(default_factory=set)

    def append(self) -> None:
        sequence = self.log[-1].sequence + 1 if self.log else 1
        self.log.append(Position(self.epoch, sequence))

    def lose_newest(self, count: int) -> None:
        """A new epoch begins, and goes on where the older one is cut."""
        self.removed.update(self.log[len(self.log) - count :])
        del self.log[len(self.log) - count :]
        self.epoch += 1

    def replay(self, progress: Progress, repeats: int) -> list[event_pb2.Event]:
        wanted = progress.request().subscriptions[0]
        cursor = position_of(wanted.after) if wanted.HasField("after") else Position(0, 0)
        known = [position for position in self.log if position <= cursor]
        begin = max(len(known) - repeats, 0)
        head = self.log[-1].sequence if self.log else 0
        return [*(note(*position) for position in self.log[begin:]), caught_up(self.epoch, head)]


STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 5)),
    st.tuples(st.just("lose"), st.integers(0, 3)),
    st.tuples(st.just("read"), st.integers(0, 8)),
)


@given(steps=st.lists(STEPS, max_size=40), repeats=st.integers(0, 4))
def test_notes_come_once_in_order_and_none_is_missed_however_streams_are_cut(
    steps: list[tuple[str, int]], repeats: int
) -> None:
    server = Server()
    progress = Progress([chat_pb2.RoomSubscription(room="r", from_start=True)])
    handed_out: list[Position] = []

    def read(limit: int | None) -> None:
        events = server.replay(progress, repeats)[:limit]
        admitted = [event for event in events if progress.admit(event)]
        handed_out.extend(position_of(event.note) for event in admitted if event.HasField("note"))

    for kind, count in steps:
        if kind == "append":
            for _ in range(count):
                server.append()
        elif kind == "lose":
            server.lose_newest(min(count, len(server.log)))
        else:
            read(count)
    read(None)
    assert handed_out == sorted(set(handed_out))
    assert set(handed_out) >= set(server.log)
    assert set(handed_out) <= set(server.log) | server.removed


def sent_away(*positions: tuple[str, int, int]) -> event_pb2.Event:
    told = [
        event_pb2.RoomPlace(room=room, cursor=note_pb2.Cursor(epoch=epoch, sequence=sequence))
        for room, epoch, sequence in positions
    ]
    return event_pb2.Event(reconnect=event_pb2.Reconnect(places=told))


def test_a_room_of_which_nothing_came_resumes_where_the_server_says_it_stands() -> None:
    progress = live("a", "b")
    assert not progress.admit(sent_away(("a", 7, 0), ("b", 7, 12), ("another", 7, 1)))
    assert (after(progress, 0), after(progress, 1)) == (Position(7, 0), Position(7, 12))
    assert not progress.admit(note(7, 12, "b"))
    assert progress.admit(note(7, 13, "b"))


def test_being_sent_away_never_moves_a_room_backwards() -> None:
    progress = live("r")
    progress.admit(note(7, 5))
    progress.admit(sent_away(("r", 7, 4)))
    assert after(progress) == Position(7, 5)


def from_start() -> Progress:
    return Progress([chat_pb2.RoomSubscription(room="r", from_start=True)])


def test_whoever_reads_from_the_start_and_is_sent_away_before_anything_came_asks_for_the_same() -> (
    None
):
    """Also where the server had passed what retention removed, or stood at a room's floor."""
    progress = from_start()
    for sequence in (0, 2, 100):
        progress.admit(sent_away(("r", 7, sequence)))
        assert progress.request().subscriptions[0].from_start
    assert progress.admit(note(7, 1)), "nothing was passed over"


def test_whoever_reads_from_the_start_and_was_shown_anything_resumes_after_the_position() -> None:
    for shown in (note(7, 101), caught_up(7, 101)):
        progress = from_start()
        progress.admit(shown)
        progress.admit(sent_away(("r", 7, 140)))
        assert after(progress) == Position(7, 140)


def test_a_room_that_begins_again_and_is_sent_away_before_anything_came_begins_once_more() -> None:
    progress = live("r")
    progress.admit(note(7, 3))
    progress.forget(["subscriptions[0].after"])
    progress.admit(sent_away(("r", 8, 5)))
    assert progress.request().subscriptions[0].from_start
