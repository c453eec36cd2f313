"""What a process has seen of the data, and what of it has to be there."""

import pytest

from notecast_runtime.outbox import OutboxId
from notecast_runtime.redis.fencing import NOTHING, Begin, Expected, Fence, Seen

FIRST, SECOND, THIRD = (OutboxId(number, 0) for number in (1, 2, 3))


def test_nothing_is_looked_for_before_anything_was_seen() -> None:
    fence = Fence()
    assert fence.expected() == []
    assert fence.newest() is None
    assert fence.seen(3) == Seen(0)


def test_the_newest_entry_of_the_latest_epoch_is_looked_for() -> None:
    fence = Fence()
    fence.see(3, 10, SECOND)
    fence.see(3, 10, FIRST)
    fence.see(3, 9, THIRD)
    assert fence.expected() == [Expected(3, 10, SECOND)]
    fence.see(4, 10, THIRD)
    assert fence.newest() == (4, THIRD)


def test_a_later_epoch_has_entries_of_its_own() -> None:
    fence = Fence()
    fence.see(3, 10, SECOND)
    fence.suspect(3, 10, SECOND)
    fence.see(3, 11)
    assert fence.seen(3).newest == NOTHING
    assert not fence.has_suspects


def test_a_suspect_is_looked_for_until_it_is_settled_whatever_else_is_seen() -> None:
    fence = Fence()
    fence.see(3, 10, SECOND)
    fence.suspect(3, 10, FIRST)
    fence.suspect(3, 10, FIRST)
    fence.see(3, 10, THIRD)
    assert fence.expected() == [Expected(3, 10, FIRST), Expected(3, 10, THIRD)]
    fence.settle(3, THIRD)
    assert fence.has_suspects
    fence.settle(3, FIRST)
    assert not fence.has_suspects
    assert fence.expected() == [Expected(3, 10, THIRD)]


def test_suspects_are_bounded() -> None:
    fence = Fence()
    for number in range(1, 100):
        fence.suspect(3, 10, OutboxId(number, 0))
    assert len(fence.expected()) == 8


def test_a_suspect_of_an_epoch_that_is_over_is_none() -> None:
    fence = Fence()
    fence.see(3, 10, SECOND)
    fence.suspect(3, 9, FIRST)
    assert not fence.has_suspects


def test_what_is_found_counts_in_the_epoch_in_which_it_was_looked_for() -> None:
    fence = Fence()
    fence.see(3, 10, FIRST)
    (expected,) = fence.expected()
    fence.see(3, 11)
    assert not fence.still_expects(expected)
    fence.found(expected)
    assert fence.seen(3).newest == NOTHING


def test_data_of_an_earlier_epoch_parted_where_the_next_one_began() -> None:
    fence = Fence()
    fence.see_begin(3, Begin(10, 9, FIRST))
    fence.see_begin(3, Begin(20, 10, SECOND))
    fence.see_begin(3, Begin(20, 10, THIRD))  # that is known already
    fence.see(3, 20, THIRD)
    seen = fence.seen(3)
    assert seen.fork(20) == THIRD
    assert seen.fork(10) == SECOND
    assert seen.fork(9) == FIRST


def test_a_later_epoch_of_other_data_says_nothing_of_where_they_parted() -> None:
    fence = Fence()
    fence.see_begin(3, Begin(10, 9, FIRST))
    fence.see_begin(3, Begin(20, 15, SECOND))
    assert fence.seen(3).fork(10) == NOTHING


def test_how_an_epoch_began_is_read_as_it_is_kept() -> None:
    assert Begin.parse(20, b"10 1-0") == Begin(20, 10, FIRST)
    for text in (b"", b"10", b"1-0", b"x 1-0"):
        with pytest.raises(ValueError, match=r"."):
            Begin.parse(20, text)


def test_where_they_parted_may_be_unknown() -> None:
    fence = Fence()
    fence.see(3, 20, THIRD)
    assert fence.seen(3).fork(10) == NOTHING


def test_so_many_beginnings_are_remembered_and_no_more() -> None:
    fence = Fence()
    for epoch in range(1, 100):
        fence.see_begin(3, Begin(epoch, epoch - 1, FIRST))
    assert len(fence.seen(3).begins) == 16
