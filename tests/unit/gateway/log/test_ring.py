from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.log.ring import Ring, Run
from chat_gateway.log.ring_budget import RingBudget

FRAMES = st.lists(st.binary(min_size=1, max_size=40), max_size=60)


def filled(frames: list[bytes], max_notes: int, max_bytes: int, run_bytes: int) -> Ring:
    ring = Ring(0, max_notes, max_bytes, run_bytes)
    for frame in frames:
        ring.append(frame)
    return ring


@given(FRAMES, st.integers(1, 20), st.integers(1, 300))
def test_a_ring_stays_within_both_bounds_and_always_holds_the_newest(
    frames: list[bytes], max_notes: int, max_bytes: int
) -> None:
    ring = filled(frames, max_notes, max_bytes, 1_000)
    held = frames[ring.oldest - 1 :]
    assert ring.newest == len(frames)
    assert len(held) <= max_notes
    assert ring.size_bytes == sum(map(len, held))
    assert ring.size_bytes <= max_bytes or len(held) == 1
    assert held or not frames


@given(FRAMES, st.integers(1, 300), st.data())
def test_runs_follow_each_other_without_a_gap_to_the_newest(
    frames: list[bytes], run_bytes: int, data: st.DataObject
) -> None:
    ring = filled(frames, 50, 2_000, run_bytes)
    begin = data.draw(st.integers(ring.oldest, ring.newest + 1))
    sequence, read = begin, b""
    while sequence <= ring.newest:
        run = ring.run_from(sequence)
        assert run is not None
        assert run.next_sequence > sequence
        assert len(run.body) <= run_bytes or run.next_sequence == sequence + 1
        sequence, read = run.next_sequence, read + run.body
    assert read == b"".join(frames[begin - 1 :])


def test_a_place_before_the_ring_is_not_in_it() -> None:
    assert filled([b"x"] * 10, 3, 100, 100).run_from(7) is None


def test_readers_at_one_place_share_the_same_bytes() -> None:
    ring = filled([b"one", b"two"], 10, 100, 100)
    first, second = ring.run_from(1), ring.run_from(1)
    assert first is second


def test_a_shared_run_is_made_anew_when_the_ring_has_grown() -> None:
    ring = filled([b"one"], 10, 100, 100)
    ring.run_from(1)
    ring.append(b"two")
    assert ring.run_from(1) == (b"onetwo", 3)


def test_older_frames_are_taken_only_while_there_is_room_for_them() -> None:
    ring = Ring(10, 3, 100, 100)
    ring.append(b"11")
    assert ring.extend_back(b"10")
    assert ring.extend_back(b"9")
    assert not ring.extend_back(b"8")
    assert ring.run_from(9) == (b"91011", 12)


def test_nothing_is_before_the_first_sequence() -> None:
    ring = Ring(1, 3, 100, 100)
    assert ring.extend_back(b"1")
    assert not ring.extend_back(b"0")


def test_a_ring_gives_up_what_it_has_joined_before_a_frame_and_nothing_where_it_is_empty() -> None:
    ring = filled([b"a", b"b", b"c"], max_notes=10, max_bytes=100, run_bytes=100)
    joined = ring.run_from(1)
    assert ring.run_from(1) is joined
    ring.give_up_some()
    assert ring.oldest == 1
    assert ring.run_from(1) is not joined
    ring.give_up_some()
    ring.give_up_some()
    assert ring.oldest == 2
    empty = filled([], max_notes=10, max_bytes=100, run_bytes=100)
    empty.give_up_some()
    assert (empty.oldest, empty.newest) == (1, 0)


def test_what_is_joined_for_others_is_given_up_where_it_exceeds_the_budget_of_all() -> None:
    ring = Ring(0, 10, 100, 100, RingBudget(8))
    for frame in (b"abc", b"def"):
        ring.append(frame)
    first = ring.run_from(1)
    assert first == Run(b"abcdef", 3)
    assert ring.run_from(1) is not first
