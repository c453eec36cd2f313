"""Data as layout 1 had them: the same keys, under tags that are the partitions' numbers."""

import redis

from notecast_runtime.keyspace import LAYOUT_KEY, PARTITIONS, prefix_of

FIRST = b"1"


def put_back_to_first_layout(store: redis.Redis) -> int:
    """Gives all keys their names of layout 1; returns how many there are."""
    renamed = 0
    for partition in range(PARTITIONS):
        prefix = prefix_of(partition).encode()
        for key in list(store.scan_iter(match=f"{prefix_of(partition)}*", count=1_000)):
            # Written out, rather than asked of the code that reads them.
            store.rename(key, b"nc:{%d}:%b" % (partition, key.removeprefix(prefix)))
            renamed += 1
    store.set(LAYOUT_KEY, FIRST)
    return renamed
