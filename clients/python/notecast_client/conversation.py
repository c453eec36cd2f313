"""One person in one room: shows notes as they come, and sends what the person says."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import aclosing

from rich.text import Text

from notecast.v1 import chat_pb2, event_pb2
from notecast_client.client import Client
from notecast_client.connection_news import ConnectionNews
from notecast_client.rendering import SHORT_TIME, discontinuity_words, note_line

_NOTES_AT_START = 20


class Conversation:
    """Follows a room and sends notes to it.

    Args:
        client: a connected client.
        room: the room's name.
        name: the author's name.
        show: shows a note.
        tell: shows one line about the conversation itself.
    """

    def __init__(
        self,
        client: Client,
        room: str,
        name: str,
        *,
        show: Callable[[Text], None],
        tell: Callable[[str], None],
    ) -> None:
        self._client = client
        self._room = room
        self._name = name
        self._show = show
        self._tell = tell
        self._caught_up = asyncio.Event()
        self._not_shown: set[str] = set()
        self._all_shown = asyncio.Event()
        self._all_shown.set()

    async def listen(self) -> None:
        """Shows the room's last 20 notes and then new ones, until cancelled.

        Raises:
            ClientError: see `Client.subscribe`.
        """
        news = ConnectionNews(self._tell)
        start = chat_pb2.RoomSubscription(room=self._room, last=_NOTES_AT_START)
        async with aclosing(self._client.subscribe(start, on_lost=news.lost)) as events:
            async for event in events:
                news.received()
                self._handle(event)

    async def say(self, text: str) -> None:
        """Sends a note; it is shown when it comes back from the room.

        Raises:
            ClientError: see `Client.send`.
        """
        note_id = uuid.uuid4().hex
        self._not_shown.add(note_id)
        self._all_shown.clear()
        try:
            await self._client.send(self._room, self._name, text, note_id=note_id)
        except BaseException:
            self._shown(note_id)  # not to be waited for
            raise

    async def joined(self) -> None:
        """Waits until existing notes were shown: notes that are sent from now on come back."""
        await self._caught_up.wait()

    async def all_shown(self) -> None:
        """Waits until all sent notes were shown."""
        await self._all_shown.wait()

    def _handle(self, event: event_pb2.Event) -> None:
        match event.WhichOneof("kind"):
            case "note":
                self._show(note_line(event.note, SHORT_TIME))
                self._shown(event.note.note_id)
            case "discontinuity":
                self._tell(discontinuity_words(event.discontinuity))
            case "caught_up":
                self._caught_up.set()

    def _shown(self, note_id: str) -> None:
        self._not_shown.discard(note_id)
        if not self._not_shown:
            self._all_shown.set()
