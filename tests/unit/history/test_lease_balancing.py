"""How partitions come to be shared out without anybody who shares them out."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from history.lease_balancing import leases_to_take

HOLDERS = st.dictionaries(st.integers(0, 63), st.sampled_from("abcd"), min_size=1)
SHARES = [12, 13, 13, 13, 13]
"""Of 64 partitions and five replicas."""


def act(holders: dict[int, str], seen: dict[int, str], replica: str) -> None:
    """Takes over by what it saw: a lease that somebody else took meanwhile stays his."""
    for partition, holder in leases_to_take(seen, replica).items():
        if holders[partition] == holder:
            holders[partition] = replica


@given(HOLDERS, st.sampled_from("abcde"))
def test_a_replica_takes_what_it_lacks_of_its_share_and_brings_nobody_below_his(
    holders: dict[int, str], replica: str
) -> None:
    taken = leases_to_take(holders, replica)
    assert all(holders[n] == holder != replica for n, holder in taken.items())
    counts = Counter(holders.values())
    share = len(holders) // len({*counts, replica})
    assert counts[replica] + len(taken) >= share
    assert len(taken) <= max(1, share - counts[replica])
    assert all(counts[holder] - lost >= share for holder, lost in Counter(taken.values()).items())


@given(st.lists(st.sampled_from("abcd"), min_size=64, max_size=64), st.permutations("abcde"))
def test_replicas_that_act_in_turn_come_to_rest_with_equal_shares(
    held: list[str], turns: list[str]
) -> None:
    holders = dict(enumerate(held))
    for _ in range(5):
        for replica in turns:
            act(holders, holders.copy(), replica)
    assert sorted(Counter(holders.values()).values()) == SHARES
    assert not any(leases_to_take(holders, replica) for replica in turns)


@given(st.lists(st.sampled_from("abcd"), min_size=64, max_size=64))
def test_replicas_that_act_at_the_same_time_come_to_rest_too(held: list[str]) -> None:
    holders = dict(enumerate(held))
    for _ in range(30):
        seen = holders.copy()
        for replica in "abcde":
            act(holders, seen, replica)
    assert sorted(Counter(holders.values()).values()) == SHARES


def test_a_replica_that_is_alone_takes_nothing_over() -> None:
    assert leases_to_take(dict.fromkeys(range(64), "a"), "a") == {}
    assert leases_to_take({}, "a") == {}
