from hypothesis import given
from hypothesis import strategies as st

from notecast_runtime.keyspace import (
    PARTITIONS,
    epoch_key,
    heads_key,
    lease_key,
    live_channel,
    log_key,
    outbox_key,
    partition_of,
    persisted_key,
    rejected_key,
    room_of_channel,
)
from notecast_runtime.partition_tags import PARTITION_TAGS

ROOMS = st.text(min_size=1, max_size=128)


def test_a_room_stays_in_its_partition_for_good() -> None:
    assert [partition_of(room) for room in ("lobby", "café", "a:room:b")] == [55, 53, 45]


def test_sixty_four_partitions_share_the_rooms() -> None:
    used = {partition_of(f"room-{number}") for number in range(2_000)}
    assert used == set(range(PARTITIONS))


@given(ROOMS)
def test_all_that_a_script_touches_has_one_hash_tag(room: str) -> None:
    partition = partition_of(room)
    tag = f"nc:{{{PARTITION_TAGS[partition]}}}:"
    keys = [
        epoch_key(partition),
        heads_key(partition),
        outbox_key(partition),
        persisted_key(partition),
        lease_key(partition),
        rejected_key(partition),
        log_key(room),
        live_channel(room),
    ]
    assert all(key.startswith(tag) for key in keys)
    assert len(set(keys)) == len(keys)


@given(ROOMS)
def test_a_channel_names_its_room_whatever_the_room_is_called(room: str) -> None:
    assert room_of_channel(live_channel(room)) == room
