"""Where rooms' logs end, by Redis itself."""

from typing import Any

from notecast_client.cursors import Position
from notecast_runtime.keyspace import epoch_key, heads_key, partition_of


async def head_of(redis: Any, room: str) -> Position:  # noqa: ANN401 - redis-py's, whose types differ
    """The place of a room's newest note.

    Args:
        redis: an asyncio client.
        room: the room.
    """
    partition = partition_of(room)
    epoch = await redis.get(epoch_key(partition))
    head = await redis.hget(heads_key(partition), room)
    return Position(int(epoch or 0), int(head or 0))
