"""Which partitions a replica takes over from which, so that all have about as many. No I/O.

Every replica goes by the leases that it sees and nothing else: no member list, no leader.
"""

import random
from collections import Counter
from collections.abc import Mapping


def leases_to_take(holders: Mapping[int, str], replica: str) -> dict[int, str]:
    """What the replica lacks of its share, and from whom to take it.

    The share is the number of partitions divided by the replicas that hold any, this one
    included, rounded down. Who has it takes one more from anybody who has two more. Nobody
    is brought below the share, so that replicas that do this in turn come to rest, at most
    one partition apart.

    Args:
        holders: the holder of each partition.
        replica: the one that asks.

    Returns:
        Partitions, drawn at random, each with its holder. Replicas that ask at the same
        time thereby rarely want the same.
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
