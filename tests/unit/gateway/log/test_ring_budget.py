"""The bound on all rings together."""

from hypothesis import given
from hypothesis import strategies as st

from chat_gateway.log.ring import Ring
from chat_gateway.log.ring_budget import RingBudget

MAX_BYTES = 100
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["append", "extend", "read", "truncate", "leave"]),
        st.integers(0, 3),
        st.integers(0, 60),
    ),
    max_size=80,
)


def new_ring(budget: RingBudget, max_bytes: int = 80) -> Ring:
    return Ring(1_000, max_notes=50, max_bytes=max_bytes, run_bytes=40, budget=budget)


def act(ring: Ring, what: str, number: int) -> None:
    match what:
        case "append":
            ring.append(b"x" * number)
        case "extend":
            ring.extend_back(b"x" * number)
        case "read":
            ring.run_from(min(ring.oldest + number, ring.newest + 1))
        case "truncate":
            ring.truncate(ring.newest - number)
        case "leave":
            ring.skip_to(ring.newest)


@given(ACTS)
def test_whatever_rings_do_their_sum_stays_within_the_budget(
    acts: list[tuple[str, int, int]],
) -> None:
    budget = RingBudget(MAX_BYTES)
    rings = [new_ring(budget) for _ in range(4)]
    for what, which, number in acts:
        act(rings[which], what, number)
        assert budget.size_bytes <= MAX_BYTES
        assert sum(ring.size_bytes for ring in rings) <= budget.size_bytes
    for ring in rings:
        ring.skip_to(ring.newest)
    assert (budget.size_bytes, len(budget)) == (0, 0)


@given(ACTS)
def test_a_budget_that_is_never_reached_changes_nothing(acts: list[tuple[str, int, int]]) -> None:
    alone, among = Ring(1_000, 50, 80, 40), new_ring(RingBudget(10_000))
    for what, _, number in acts:
        for ring in (alone, among):
            act(ring, what, number)
        assert (alone.oldest, alone.newest) == (among.oldest, among.newest)
        assert alone.run_from(alone.oldest) == among.run_from(among.oldest)


def test_the_ring_that_has_taken_nothing_for_longest_gives_first() -> None:
    budget = RingBudget(100)
    idle, read, grown = (new_ring(budget) for _ in range(3))
    for ring in (idle, read):
        ring.append(b"x" * 10)
        ring.append(b"x" * 10)
    grown.append(b"x" * 30)
    read.run_from(read.oldest)  # 20 bytes joined, for other readers to share
    grown.append(b"x" * 20)
    assert (idle.size_bytes, read.size_bytes, grown.size_bytes) == (10, 20, 50)


def test_the_newest_note_of_the_ring_that_grows_is_held_whatever_its_size() -> None:
    budget = RingBudget(100)
    other, ring = new_ring(budget), new_ring(budget, max_bytes=1_000)
    other.append(b"x" * 50)
    ring.append(b"x" * 60)
    ring.append(b"y" * 500)
    assert (other.size_bytes, ring.size_bytes) == (0, 500)
    assert ring.run_from(ring.newest) == (b"y" * 500, ring.newest + 1)


def test_older_notes_are_not_taken_back_at_the_cost_of_newer_ones_of_the_same_ring() -> None:
    ring = new_ring(RingBudget(50))
    ring.append(b"x" * 40)
    assert not ring.extend_back(b"x" * 20)
    assert (ring.oldest, ring.size_bytes) == (1_001, 40)
