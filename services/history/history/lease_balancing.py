"""Chooses which partitions a replica takes over, so that all have about as many. No I/O.

Every replica decides by the leases that it sees, and by nothing else: no member list, no leader.
"""

import random
from collections import Counter
from collections.abc import Mapping


def leases_to_take(holders: Mapping[int, str], replica: str) -> dict[int, str]:
    """The partitions that a replica lacks of its share, and the holders to take them from.

    The share is the number of partitions divided by the number of replicas that hold any, this
    one included, rounded down. A replica that has its share takes one more from one that has two
    more. No replica is brought below the share. So replicas that do this in turn reach a stable
    state, at most one partition apart.

    Args:
        holders: the holder of each partition.
        replica: the replica that asks.

    Returns:
        Partitions, drawn at random, each with its holder. So replicas that ask at the same time
        rarely choose the same.
    """
    counts = Counter(holders.values())
    counts[replica] += 0
    share = len(holders) // len(counts)
    wanted: dict[int, str] = {}
    for partition in random.sample(sorted(holders), len(holders)):
        holder = holders[partition]
        lacks_share = counts[replica] < share < counts[holder]
        lacks_one = not wanted and share <= counts[replica] < counts[holder] - 1
        if lacks_share or lacks_one:
            wanted[partition] = holder
            counts[holder] -= 1
            counts[replica] += 1
    return wanted
