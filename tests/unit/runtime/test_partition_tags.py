"""The partitions' hash tags share a cluster's slots evenly, however many nodes it has."""

from binascii import crc_hqx
from itertools import pairwise

import pytest

from notecast_runtime.keyspace import PARTITIONS, epoch_key, log_key, partition_of
from notecast_runtime.partition_tags import PARTITION_TAGS

SLOTS = 16_384


def slot_of(key: str) -> int:
    """As a cluster computes it: CRC-16/XMODEM of what is in the first braces."""
    return crc_hqx(key.split("{", 1)[1].split("}", 1)[0].encode(), 0) % SLOTS


def shares(nodes: int) -> list[int]:
    """How many partitions each node has of slots dealt out as `redis-cli --cluster create` does."""
    ends = [round(SLOTS / nodes * node) for node in range(nodes + 1)]
    slots = [slot_of(epoch_key(partition)) for partition in range(PARTITIONS)]
    return [sum(first <= slot < end for slot in slots) for first, end in pairwise(ends)]


def test_the_slots_are_those_of_redis() -> None:
    # CLUSTER KEYSLOT says so; 12739 is the check value of the specification.
    assert crc_hqx(b"123456789", 0) % SLOTS == 12_739
    assert slot_of("nc:{0}:epoch") == 13_907


def test_each_partition_has_its_own_part_of_the_slots() -> None:
    assert len(set(PARTITION_TAGS)) == PARTITIONS
    for partition in range(PARTITIONS):
        assert slot_of(epoch_key(partition)) // (SLOTS // PARTITIONS) == partition


def test_a_room_is_where_its_partition_is() -> None:
    assert slot_of(log_key("lobby")) == slot_of(epoch_key(partition_of("lobby")))


@pytest.mark.parametrize("nodes", [1, 2, 4, 8, 16, 32])
def test_nodes_with_equal_ranges_have_equal_shares(nodes: int) -> None:
    assert set(shares(nodes)) == {PARTITIONS // nodes}


@pytest.mark.parametrize("nodes", range(1, 33))
def test_no_node_has_a_share_that_could_be_smaller_or_none(nodes: int) -> None:
    assert min(shares(nodes)) == PARTITIONS // nodes
    assert max(shares(nodes)) == -(-PARTITIONS // nodes)
