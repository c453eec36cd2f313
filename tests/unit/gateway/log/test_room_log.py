"""The room's log against a model: whatever is heard, lost or late, it is read in order."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chat_gateway.log.room_log import RoomLog, SequenceRange

MAX_NOTES = 8


def frame(sequence: int) -> bytes:
    return b"<%d>" % sequence


def frames(sequences: SequenceRange) -> list[tuple[int, bytes]]:
    return [(s, frame(s)) for s in range(sequences.after + 1, sequences.through + 1)]


def new_log(head: int, max_notes: int = MAX_NOTES) -> RoomLog:
    return RoomLog(1, head, max_notes=max_notes, max_bytes=10_000, run_bytes=10_000)


class LossyChannel(RuleBasedStateMachine):
    """Notes are accepted; hints of them come, are lost, come late or twice; gaps are read."""

    def __init__(self) -> None:
        super().__init__()
        self.head = 5
        self.log = new_log(self.head)
        self.sequence = self.head + 1  # a reader's place; it follows while it can
        self.read: list[bytes] = []
        self.fetching: SequenceRange | None = None

    @rule(heard=st.booleans())
    def accept(self, heard: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        self.head += 1
        if heard:
            self.log.append_live(self.head, frame(self.head))

    @rule(back=st.integers(0, 12))
    def hear_late_or_again(self, back: int) -> None:
        sequence = max(1, self.head - back)
        self.log.append_live(sequence, frame(sequence))

    @rule()
    def check_head(self) -> None:
        self.log.on_head(self.head)

    @precondition(lambda self: self.fetching is None)
    @rule()
    def begin_repair(self) -> None:
        self.fetching = self.log.missing()

    @precondition(lambda self: self.fetching is not None)
    @rule(parts=st.integers(1, 3))
    def end_repair(self, parts: int) -> None:
        assert self.fetching is not None
        after, through = self.fetching
        for part in range(parts):
            end = after + (through - after) * (part + 1) // parts
            self.log.fill(SequenceRange(after, end), frames(SequenceRange(after, end)))
            after = end
        self.fetching = None

    @rule()
    def follow(self) -> None:
        while self.sequence <= self.log.newest:
            run = self.log.run_from(self.sequence)
            if run is None:  # older than the ring: history would serve it
                missed = SequenceRange(self.sequence - 1, self.log.oldest - 1)
                self.read += [body for _, body in frames(missed)]
                self.sequence = self.log.oldest
                continue
            self.read.append(run.body)
            self.sequence = run.next_sequence

    @invariant()
    def what_was_read_is_the_log_without_a_hole(self) -> None:
        assert b"".join(self.read) == b"".join(frame(s) for s in range(6, self.sequence))

    @invariant()
    def it_never_runs_ahead_of_what_was_accepted(self) -> None:
        assert self.log.newest <= self.head

    def teardown(self) -> None:
        self.log.on_head(self.head)
        while sequences := self.log.missing():
            assert sequences.after < sequences.through
            self.log.fill(sequences, frames(sequences))
        assert self.log.newest == self.head
        self.follow()
        self.what_was_read_is_the_log_without_a_hole()


TestLossyChannel = LossyChannel.TestCase


def test_a_note_that_was_skipped_holds_back_the_newer_ones_until_it_is_there() -> None:
    log = new_log(0)
    log.append_live(1, frame(1))
    log.append_live(3, frame(3))
    assert log.newest == 1
    assert log.missing() == SequenceRange(1, 2)
    log.fill(SequenceRange(1, 2), frames(SequenceRange(1, 2)))
    assert log.newest == 3
    assert log.missing() is None
    assert log.run_from(1) == (b"<1><2><3>", 4)


def test_a_note_from_the_past_changes_nothing() -> None:
    log = new_log(4)
    log.append_live(5, frame(5))
    log.append_live(4, b"another")
    log.append_live(5, b"another")
    assert log.run_from(5) == (frame(5), 6)
    assert log.missing() is None


def test_a_sequence_that_the_log_does_not_have_is_not_waited_for() -> None:
    log = new_log(0)
    log.append_live(3, frame(3))
    log.fill(SequenceRange(0, 2), [(2, frame(2))])
    assert log.newest == 3
    assert log.run_from(1) == (frame(2) + frame(3), 4)


def test_a_gap_longer_than_the_ring_is_skipped_to_its_newest_part() -> None:
    log = new_log(0)
    log.on_head(100)
    missing = log.missing()
    assert missing == SequenceRange(100 - MAX_NOTES, 100)
    log.fill(missing, frames(missing))
    assert (log.oldest, log.newest) == (93, 100)
    assert log.run_from(92) is None


def test_notes_parked_ahead_of_a_gap_are_bounded() -> None:
    log = new_log(0)
    for sequence in range(2, 100):
        log.append_live(sequence, frame(sequence))
    log.fill(SequenceRange(0, 1), frames(SequenceRange(0, 1)))
    assert log.newest == MAX_NOTES + 1
    assert log.missing() == SequenceRange(99 - MAX_NOTES, 99)


@given(head=st.integers(0, 30), asked=st.integers(0, 30), gone=st.integers(0, 30))
def test_what_was_read_up_to_the_ring_is_kept_in_it(head: int, asked: int, gone: int) -> None:
    log = new_log(head)
    sequences = SequenceRange(min(asked, head), head)
    kept = [(s, f) for s, f in frames(sequences) if s > gone]
    log.extend_back(sequences, kept)
    expected = kept[-MAX_NOTES:]
    assert log.oldest == (expected[0][0] if expected else head + 1)
    if expected:
        run = log.run_from(log.oldest)
        assert run == (b"".join(f for _, f in expected), head + 1)


def test_what_was_read_up_to_another_position_is_not_taken_for_the_ring_s_beginning() -> None:
    log = new_log(10)
    log.extend_back(SequenceRange(0, 9), frames(SequenceRange(0, 9)))
    assert log.oldest == 11


def test_what_is_parked_and_has_come_by_another_way_is_forgotten() -> None:
    log = new_log(0)
    log.append_live(3, frame(3))
    log.fill(SequenceRange(0, 3), frames(SequenceRange(0, 3)))
    assert log.newest == 3
    assert not log._parked
