"""Many rooms compared with what Redis says of them, and how few of them are touched for it."""

import time

from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.log.announcement import Announcement
from chat_gateway.log.epochs import EpochEnd
from chat_gateway.log.positions import EpochHistory, Head, PartitionHeads
from chat_gateway.rooms.head_comparison import PartitionRooms, in_parts
from chat_gateway.rooms.room import Room
from notecast_runtime.keyspace import partition_of
from notecast_runtime.outbox import OutboxId
from tests.support.room_parts import EPOCH, ScriptedHeads, open_room


class Log:
    """What Redis holds of some rooms of one partition, and the rooms, which hear of it or not."""

    def __init__(self, rooms: int, heads: ScriptedHeads | None = None) -> None:
        self.epoch = EPOCH
        self.sequences = [0] * rooms
        self.outbox_id = OutboxId(1, 0)
        self.rooms = [open_room(Head(EPOCH, 0, self.outbox_id), heads=heads) for _ in range(rooms)]
        self.compared = PartitionRooms(0, self.rooms)

    def accept(self, index: int, *, heard: bool) -> None:
        """Accepts a note in a room."""
        self.sequences[index] += 1
        self.outbox_id = OutboxId(self.outbox_id.milliseconds + 1, 0)
        if heard:
            self.hear(index)

    def hear(self, index: int) -> None:
        """Lets a room hear its newest note."""
        note = Announcement(self.epoch, self.sequences[index], self.outbox_id, b"")
        self.rooms[index].on_announcement(note)

    def pass_without_a_note_here(self) -> None:
        """A note is accepted in a room of the partition that is not open."""
        self.outbox_id = OutboxId(self.outbox_id.milliseconds + 1, 0)

    def answer(self) -> PartitionHeads:
        """What Redis says now."""
        newest = [str(sequence).encode() if sequence else None for sequence in self.sequences]
        return PartitionHeads(self.epoch, self.outbox_id, newest)

    def behind(self) -> list[Room]:
        """The rooms that a comparison finds to lag."""
        return [room for room, _ in self.compared.behind(self.answer(), time.monotonic())]

    def forget_unheard(self) -> None:
        """Lets no repair run on, for the log has nowhere to read from."""
        for room in self.rooms:
            room.close()


async def test_after_a_time_without_an_answer_a_room_that_has_left_redis_is_looked_at() -> None:
    """Notes may have come there and gone; soon after an answer they can't have."""
    for seconds, found in ((1, []), (6, [3])):
        log = Log(5)
        log.accept(3, heard=True)
        asked_at = time.monotonic()
        assert log.compared.behind(log.answer(), asked_at) == []
        log.sequences[3] = 0  # which stands for none
        answer = log.answer()._replace(floor=9)
        for index in (0, 1, 2, 4):
            log.rooms[index].pass_over(9)
        behind = log.compared.behind(answer, asked_at + seconds)
        assert [log.rooms.index(room) for room, _ in behind] == found
        assert all(head.is_floor for _, head in behind)


async def test_a_room_that_has_missed_a_note_is_found_among_those_that_have_not() -> None:
    log = Log(100)
    assert log.behind() == []
    log.accept(7, heard=True)
    log.accept(42, heard=False)
    (found,) = log.compared.behind(log.answer(), time.monotonic())
    assert found == (log.rooms[42], Head(EPOCH, 1, log.outbox_id))


async def test_rooms_that_redis_has_nothing_of_follow_the_floor_of_their_partition() -> None:
    log = Log(3)
    log.accept(1, heard=True)
    answer = log.answer()._replace(floor=1_000)
    found = log.compared.below_floor(answer)
    assert found == [
        (log.rooms[index], Head(EPOCH, 1_000, log.outbox_id, is_floor=True)) for index in (0, 2)
    ]
    assert log.compared.below_floor(answer._replace(epoch=EPOCH + 1)) == []
    assert log.compared.beyond(answer, [1_000, 1, 1_000]) == []
    assert log.compared.beyond(answer, [1_001, 1, 1_000]) == [log.rooms[0]]


async def test_a_room_is_found_again_and_again_until_it_has_heard_all() -> None:
    log = Log(3)
    assert log.behind() == []
    log.accept(1, heard=False)
    assert log.behind() == log.behind() == [log.rooms[1]]
    log.hear(1)
    assert log.behind() == []


async def test_quiet_rooms_are_not_touched_where_all_had_heard_all() -> None:
    log = Log(50)
    assert log.behind() == []
    log.accept(7, heard=True)
    quiet = [room for room in log.rooms if room is not log.rooms[7]]
    for room in quiet:
        del room._log  # whoever looks at it now fails
    assert log.behind() == []


async def test_quiet_rooms_have_their_place_in_the_outbox_moved_on_all_the_same() -> None:
    """Or a lost note could only be repaired from history, once the outbox was trimmed."""
    log = Log(3)
    assert log.behind() == []
    for _ in range(5):
        log.pass_without_a_note_here()
        assert log.behind() == []
    assert [room.outbox_id for room in log.rooms] == [log.outbox_id] * 3


async def test_a_room_that_lags_keeps_its_position_while_the_others_move_on() -> None:
    log = Log(2)
    assert log.behind() == []
    kept = log.outbox_id
    log.accept(0, heard=False)
    log.pass_without_a_note_here()
    assert log.behind() == [log.rooms[0]]
    assert [room.outbox_id for room in log.rooms] == [kept, log.outbox_id]


async def test_in_another_epoch_all_are_looked_at_and_no_position_of_the_old_one_counts() -> None:
    """Redis has lost its newest note, and its clock lags the one before."""
    heads = ScriptedHeads()
    log = Log(2, heads)
    log.accept(0, heard=True)
    log.outbox_id = OutboxId(1_000, 0)
    assert log.behind() == []
    assert log.rooms[0].outbox_id == OutboxId(1_000, 0)

    log.epoch, log.sequences, log.outbox_id = EPOCH + 1, [0, 0], OutboxId(5, 0)
    heads.answer = EpochHistory(Head(EPOCH + 1, 0), [EpochEnd(EPOCH, 0)])
    assert log.behind() == log.rooms
    for room in log.rooms:
        room.on_head(Head(EPOCH + 1, 0))
        await room.reach(EPOCH + 1)
    assert log.behind() == []
    assert log.rooms[0].outbox_id == log.outbox_id


EVENTS = st.lists(
    st.tuples(st.sampled_from(["heard", "lost", "late", "compare"]), st.integers(0, 4)), max_size=40
)


@given(EVENTS)
async def test_a_comparison_finds_just_those_whose_newest_note_was_not_heard(
    events: list[tuple[str, int]],
) -> None:
    log = Log(5)
    for event, index in events:
        if event == "compare":
            behind = {id(room) for room in log.behind()}
            for room, newest in zip(log.rooms, log.sequences, strict=True):
                assert (id(room) in behind) == (not room.log.has_all(EPOCH, newest))
        elif event == "late":
            log.hear(index)
        elif log.rooms[index].log.newest == log.sequences[index]:  # no gap to repair
            log.accept(index, heard=event == "heard")
    log.forget_unheard()


async def test_rooms_are_asked_for_by_partition_in_parts_of_which_none_is_long() -> None:
    rooms = []
    for number in range(3_000):
        room = open_room(Head(EPOCH, 0))
        room.name = f"room {number}"
        rooms.append(room)
    parts = list(in_parts(rooms))
    assert all(sum(len(each.query.rooms) for each in part) < 1_100 for part in parts)
    for each in (each for part in parts for each in part):
        assert {partition_of(name) for name in each.query.rooms} == {each.query.partition}
    names = [name for part in parts for each in part for name in each.query.rooms]
    assert sorted(names) == sorted(room.name for room in rooms)
