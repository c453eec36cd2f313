"""Streams at live tails and before them: whatever their clients do, each has all notes once."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, rule

from chat_gateway.api.tutorial_service import as_notes
from chat_gateway.log.cursors import Start
from chat_gateway.log.event_bytes import note_frame
from chat_gateway.log.positions import Head, RoomPosition
from chat_gateway.log.ring import as_frames
from chat_gateway.rooms.room import Room, RoomLimits
from chat_gateway.streams.subscription import Subscription
from notecast.v1.chat_pb2 import SubscribeResponse
from notecast.v1.history_pb2 import LoggedNote
from notecast.v1.note_pb2 import Note
from notecast_runtime.errors import ShuttingDownError, SlowReaderError
from notecast_runtime.status import OK, ending_of
from tests.support.room_parts import EPOCH, ScriptedHistory, Window, open_room, subscribed
from tutorial import chat_pb2 as tutorial_pb2

LIMITS = RoomLimits(ring_notes=4, ring_bytes=10_000, run_bytes=130)
"""So small that a run has a few notes, and a stream that lags soon needs history."""

FIRST = 3
"""The newest note when the rooms were opened."""


TURNS = 30
"""Of the loop: what reads of history need that nothing holds up."""


def payload(sequence: int) -> bytes:
    return Note(author="ann", text=str(sequence)).SerializeToString()


class Follower:
    """A client of some rooms, and what it should have been sent of each."""

    def __init__(self, rooms: list[Room], start: int, *, tutorial: bool) -> None:
        self.rooms = rooms
        self.window = Window()
        self.begins = start
        self.caught_up_at = {room.name: room.log.newest for room in rooms}
        self._tutorial = tutorial
        encode = as_notes if tutorial else as_frames
        self.stream = subscribed(
            self.window, *rooms, start=Start(start, resumes=False), encode=encode
        )

    def seen(self, room: Room) -> list[int]:
        """The sequences of the notes that came of a room."""
        if self._tutorial:
            return [int(tutorial_pb2.Note.FromString(m).message) for m in self.window.taken]
        return [
            e.note.sequence
            for e in self._events()
            if e.note.room == room.name and e.HasField("note")
        ]

    def check(self) -> None:
        for room in self.rooms:
            seen = self.seen(room)
            assert seen == [*range(self.begins, self.begins + len(seen))]
            assert not self._tutorial or len(self.rooms) == 1

    def check_complete(self) -> None:
        self.check()
        for room in self.rooms:
            assert len(self.seen(room)) == max(room.log.newest - self.begins + 1, 0)
            if not self._tutorial:
                (told,) = (e.caught_up for e in self._events() if e.caught_up.room == room.name)
                assert told.cursor.sequence >= self.caught_up_at[room.name]

    def _events(self) -> list[Any]:
        return list(SubscribeResponse.FromString(b"".join(self.window.taken)).events)


class Streams(RuleBasedStateMachine):
    """Two rooms, clients that read or don't, and a history that has it all."""

    followers = Bundle("followers")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.rooms: list[Room] = []
        self.histories: list[ScriptedHistory] = []
        self.all: list[Follower] = []

    def run(self, act: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401
        async def act_and_settle() -> Any:  # noqa: ANN401
            outcome = await act
            for _ in range(TURNS):
                await asyncio.sleep(0)
            return outcome

        return self.loop.run_until_complete(act_and_settle())

    @initialize()
    def open_rooms(self) -> None:
        for name in ("red", "blue"):
            history = ScriptedHistory()
            history.notes += [self.note(name, sequence) for sequence in range(1, FIRST + 1)]
            room = open_room(Head(EPOCH, FIRST), history, limits=LIMITS)
            room.name = name
            self.rooms.append(room)
            self.histories.append(history)

    @staticmethod
    def note(room: str, sequence: int) -> LoggedNote:
        note = Note(room=room, author="ann", text=str(sequence)).SerializeToString()
        return LoggedNote(epoch=EPOCH, sequence=sequence, note=note)

    @rule(
        target=followers,
        which=st.sampled_from([(0,), (1,), (0, 1)]),
        back=st.integers(-3, 6),
        tutorial=st.booleans(),
    )
    def join(self, which: tuple[int, ...], back: int, tutorial: bool) -> Follower:  # noqa: FBT001
        async def act() -> Follower:
            rooms = [self.rooms[number] for number in which]
            # Redis may know of notes that the room has yet to hear: then it begins ahead.
            start = max(min(room.log.newest for room in rooms) + 1 - back, 1)
            return Follower(rooms, start, tutorial=tutorial and len(rooms) == 1)

        follower: Follower = self.run(act())
        self.all.append(follower)
        return follower

    @rule(which=st.integers(0, 1), count=st.integers(1, 7))
    def accept(self, which: int, count: int) -> None:
        room = self.rooms[which]
        for _ in range(count):
            sequence = room.log.newest + 1
            logged = self.note(room.name, sequence)
            self.histories[which].notes.append(logged)
            room.log.append_live(sequence, note_frame(EPOCH, sequence, logged.note))

    @rule(which=st.integers(0, 1), count=st.integers(5, 9))
    def accept_and_lose_more_than_the_ring_holds(self, which: int, count: int) -> None:
        room = self.rooms[which]
        newest = room.log.newest
        logged = [self.note(room.name, newest + number + 1) for number in range(count)]
        self.histories[which].notes += logged
        room.log.on_head(newest + count)
        missing = room.log.missing()
        assert missing is not None
        frames = [(n.sequence, note_frame(EPOCH, n.sequence, n.note)) for n in logged]
        room.log.fill(missing, [each for each in frames if each[0] > missing.after])

    @rule(which=st.integers(0, 1))
    def deliver(self, which: int) -> None:
        async def act() -> None:
            self.rooms[which].deliver()

        self.run(act())

    @rule(follower=followers)
    def stop_reading(self, follower: Follower) -> None:
        follower.window.close()

    @rule(follower=followers, messages=st.integers(1, 5))
    def read_a_little(self, follower: Follower, messages: int) -> None:
        async def act() -> None:
            follower.window.open(messages)

        self.run(act())

    @rule(follower=followers)
    def hold_too_much(self, follower: Follower) -> None:
        follower.window.lose_pages()

    @rule(follower=consumes(followers))
    def leave(self, follower: Follower) -> None:
        async def act() -> None:
            follower.window.leave()

        self.run(act())
        follower.check()
        assert not any(follower.window.held.values())
        self.all.remove(follower)

    def teardown(self) -> None:
        for which in range(len(self.rooms)):
            self.accept(which, 5)

        async def act() -> None:
            for room in self.rooms:
                room.deliver()
            for follower in self.all:
                follower.window.open()

        try:
            # Of its rooms a stream reads the past of one after the other, a page at a time.
            pages = sum(room.log.newest for room in self.rooms) // LIMITS.ring_notes
            for _ in range(5 + pages):
                self.run(act())
                if not any(room.readers.behind for room in self.rooms):
                    break
            for follower in self.all:
                follower.check_complete()
            assert not any(any(follower.window.held.values()) for follower in self.all)
            for room in self.rooms:
                live = sum(room in follower.rooms for follower in self.all)
                assert (len(room.readers.tail), len(room.readers.behind)) == (live, 0)
        finally:
            self.loop.close()


TestStreams = Streams.TestCase
TestStreams.settings = settings(deadline=None, stateful_step_count=40)


def hear(room: Room, count: int) -> None:
    for _ in range(count):
        sequence = room.log.newest + 1
        room.log.append_live(sequence, note_frame(EPOCH, sequence, payload(sequence)))


def test_all_at_the_live_tail_are_sent_the_same_bytes_whatever_their_number() -> None:
    room = open_room(Head(EPOCH, 0))
    windows = [Window() for _ in range(10)]
    for window in windows:
        subscribed(window, room, start=Start(1, resumes=False))
        window.taken.clear()
    hear(room, 3)
    room.deliver()
    assert all(len(window.taken) == 1 for window in windows)
    assert all(window.taken[0] is windows[0].taken[0] for window in windows)


def test_an_encoding_is_done_once_for_all_who_share_it() -> None:
    room = open_room(Head(EPOCH, 0))
    windows = [Window() for _ in range(10)]
    for window in windows:
        subscribed(window, room, start=Start(1, resumes=False), encode=as_notes)
    hear(room, 2)
    room.deliver()
    for window in windows:
        messages = [tutorial_pb2.Note.FromString(message) for message in window.taken]
        assert [(note.name, note.message) for note in messages] == [("ann", "1"), ("ann", "2")]
        assert all(a is b for a, b in zip(window.taken, windows[0].taken, strict=True))


def test_a_stream_that_is_ended_tells_its_status_after_what_its_client_has_yet_to_read() -> None:
    room, window = open_room(Head(EPOCH, 0)), Window()
    stream = subscribed(window, room, start=Start(1, resumes=False))
    window.close()
    hear(room, 1)
    room.deliver()
    stream.end_as_slow(61, 60)
    assert window.status is None
    assert (len(room.readers.tail), len(room.readers.behind)) == (0, 0)
    stream.end(ShuttingDownError("too late"))
    window.open()
    assert window.status is not None
    assert window.status.name == "RESOURCE_EXHAUSTED"


def in_two_rooms(window: Window) -> tuple[Subscription, Room, Room]:
    """A stream in `red`, where it stands at 5, and in `blue`, where it was sent two notes: at 7."""
    red, blue = open_room(Head(EPOCH, 0)), open_room(Head(EPOCH, 5))
    red.name, blue.name = "red", "blue"
    stream = subscribed(window, red, blue, start=Start(6, resumes=False))
    hear(blue, 2)
    blue.deliver()
    return stream, red, blue


def test_a_slow_reader_is_told_the_positions_after_what_it_was_sent_in_each_room() -> None:
    stream, _, blue = in_two_rooms(window := Window())
    window.close()
    hear(blue, 2)
    blue.deliver()
    stream.end_as_slow(61, 60)
    window.open()
    positions = [RoomPosition("red", EPOCH, 5), RoomPosition("blue", EPOCH, 7)]
    assert window.ending == ending_of(SlowReaderError(positions, 61, 60))


def test_what_the_log_says_of_a_stream_names_its_client_and_where_it_stands_in_each_room() -> None:
    stream, _, _ = in_two_rooms(Window())
    assert stream.log_fields() == {
        "peer": "ipv4:192.0.2.1:5000",
        "connection": "#7",
        "client": "192.0.2.1",
        "rooms": 2,
        "positions": [
            {"room": "red", "epoch": EPOCH, "sequence": 5},
            {"room": "blue", "epoch": EPOCH, "sequence": 7},
        ],
    }


def test_what_the_log_says_of_a_stream_is_bounded_however_many_rooms_it_follows() -> None:
    rooms = [open_room(Head(EPOCH, 0)) for _ in range(40)]
    fields = subscribed(Window(), *rooms, start=Start(1, resumes=False)).log_fields()
    assert fields["rooms"] == 40
    positions = fields["positions"]
    assert isinstance(positions, list)
    assert len(positions) == 16


def test_a_stream_that_was_ended_before_it_flows_is_told_so_at_once() -> None:
    room, window = open_room(Head(EPOCH, 0)), Window()
    stream = subscribed(window, room, start=Start(1, resumes=False), flows=False)
    room.end(ShuttingDownError("bye"))
    assert len(room.readers.behind) == 0
    stream.flow(window)
    assert window.status is not None
    assert window.taken == []


def test_a_reader_resumes_after_the_last_message_it_took_of_a_run() -> None:
    room, window = open_room(Head(EPOCH, 0)), Window()
    subscribed(window, room, start=Start(1, resumes=False), encode=as_notes)
    window.room = 2
    hear(room, 5)
    room.deliver()
    assert len(window.taken) == 2
    window.open()
    notes = [tutorial_pb2.Note.FromString(message).message for message in window.taken]
    assert notes == ["1", "2", "3", "4", "5"]
    assert len(room.readers.tail) == 1


def places_told(window: Window) -> list[tuple[str, int]]:
    """The places in the last event, which sends the client away."""
    reconnect = window.events()[-1].reconnect
    assert all(place.cursor.epoch == EPOCH for place in reconnect.places)
    return [(place.room, place.cursor.sequence) for place in reconnect.places]


def test_a_client_that_is_sent_away_is_told_its_positions_and_its_stream_ends_with_ok() -> None:
    stream, red, blue = in_two_rooms(window := Window())
    assert stream.send_away(0.25)
    assert places_told(window) == [("red", 5), ("blue", 7)]
    assert window.ending == OK
    for room in (red, blue):
        assert (len(room.readers.tail), len(room.readers.behind)) == (0, 0)


def test_a_client_that_is_sent_away_is_told_when_to_come_back() -> None:
    window = Window()
    stream = subscribed(window, open_room(Head(EPOCH, 0)), start=Start(1, resumes=False))
    stream.send_away(0.25)
    assert window.events()[-1].reconnect.after_ms == 250


def test_a_lagging_client_that_is_sent_away_resumes_after_what_it_was_sent() -> None:
    room, window = open_room(Head(EPOCH, 0), limits=LIMITS), Window()
    stream = subscribed(window, room, start=Start(1, resumes=False))
    window.close()
    hear(room, 4)
    room.deliver()
    stream.send_away(0)
    window.open()
    assert places_told(window) == [("lobby", 0)]
    assert window.ending == OK


async def test_a_client_that_is_sent_away_before_its_replay_is_told_where_that_begins() -> None:
    room, window = open_room(Head(EPOCH, 9)), Window()
    stream = subscribed(window, room, start=Start(4, resumes=False))
    assert stream.send_away(0)
    assert places_told(window) == [("lobby", 3)]


def test_a_client_that_does_not_read_is_sent_away_when_it_does_and_sent_nothing_else() -> None:
    room, window = open_room(Head(EPOCH, 0)), Window()
    stream = subscribed(window, room, start=Start(1, resumes=False))
    window.close()
    hear(room, 1)
    room.deliver()
    stream.send_away(0)
    hear(room, 1)
    room.deliver()
    assert window.ending is None
    window.open(0)
    assert window.ending is None
    window.events()
    window.open(1)
    assert [event.WhichOneof("kind") for event in window.events()] == ["reconnect"]
    assert window.ending == OK


def test_a_stream_that_does_not_flow_yet_can_not_be_sent_away() -> None:
    room, window = open_room(Head(EPOCH, 0)), Window()
    stream = subscribed(window, room, start=Start(1, resumes=False), flows=False)
    assert not stream.send_away(0)
    stream.flow(window)
    assert window.ending is None


def test_a_client_of_the_tutorial_knows_of_no_other_place_and_stays() -> None:
    room, window = open_room(Head(EPOCH, 0)), Window()
    stream = subscribed(window, room, start=Start(1, resumes=False), encode=as_notes)
    assert stream.send_away(0)
    assert window.ending is None
    hear(room, 1)
    room.deliver()
    assert [tutorial_pb2.Note.FromString(m).message for m in window.taken] == ["1"]
