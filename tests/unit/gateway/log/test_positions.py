from chat_gateway.log.positions import Head, PartitionHeads
from notecast_runtime.outbox import OutboxId

AT = OutboxId(1_000, 0)


def test_a_room_of_which_redis_has_nothing_stands_at_the_floor() -> None:
    heads = PartitionHeads(7, AT, [b"12", None], floor=40)
    assert heads.head(0) == Head(7, 12, AT)
    assert heads.head(1) == Head(7, 40, AT, is_floor=True)


def test_a_room_of_a_new_partition_has_no_floor() -> None:
    assert PartitionHeads(7, AT, [None]).head(0) == Head(7, 0, AT)
