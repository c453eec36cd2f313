"""A first chat, with the library that people use."""

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from notecast.v1.chat_pb2 import RoomSubscription
from notecast_client.client import Client

if TYPE_CHECKING:
    from notecast.v1.event_pb2 import Event

_PATIENCE_SECONDS = 60.0
_ROOM = "lobby"


async def chat(target: str) -> str:
    """Sends a note and reads it back; returns what was read.

    Raises:
        TimeoutError: it did not come.
        notecast_client.errors.ClientError: the server can't be reached, or refuses.
    """
    async with (
        asyncio.timeout(_PATIENCE_SECONDS),
        Client(target, connect_timeout=_PATIENCE_SECONDS / 2) as client,
    ):
        await client.send(_ROOM, "ada", "hello, cluster")
        start = RoomSubscription(room=_ROOM, from_start=True)
        async with aclosing(client.subscribe(start)) as events:
            event: Event
            async for event in events:
                if event.HasField("note"):
                    return f"{event.note.author}: {event.note.text}"
    raise AssertionError("a subscription does not end by itself")
