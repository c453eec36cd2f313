"""Where rooms' logs end, by Redis itself."""

from typing import Any

from notecast_runtime.redis.keyspace import epoch_key, heads_key, partition_of
from tests.chaos.records import Place


async def head_of(redis: Any, room: str) -> Place:  # noqa: ANN401 - redis-py's, whose types differ
    """The place of a room's newest note.

    Args:
        redis: an asyncio client.
        room: the room.
    """
    partition = partition_of(room)
    epoch = await redis.get(epoch_key(partition))
    head = await redis.hget(heads_key(partition), room)
    return Place(int(epoch or 0), int(head or 0))
