"""One person in one room: what comes is shown, what is said is sent."""

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
    """Listens to a room and speaks in it.

    Args:
        client: connected.
        room: the room's name.
        name: who speaks.
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
        self._unheard: set[str] = set()
        self._all_heard = asyncio.Event()
        self._all_heard.set()

    async def listen(self) -> None:
        """Shows the room's last 20 notes and then what comes, until cancelled.

        Raises:
            ClientError: as Client.subscribe.
        """
        news = ConnectionNews(self._tell)
        start = chat_pb2.RoomSubscription(room=self._room, last=_NOTES_AT_START)
        async with aclosing(self._client.subscribe(start, on_lost=news.lost)) as events:
            async for event in events:
                news.heard()
                self._handle(event)

    async def say(self, text: str) -> None:
        """Sends a note; it is shown when it comes back from the room.

        Raises:
            ClientError: as Client.send.
        """
        note_id = uuid.uuid4().hex
        self._unheard.add(note_id)
        self._all_heard.clear()
        try:
            await self._client.send(self._room, self._name, text, note_id=note_id)
        except BaseException:
            self._hear(note_id)  # not to be waited for
            raise

    async def joined(self) -> None:
        """Returns once the notes of before were shown: what is said now will be heard."""
        await self._caught_up.wait()

    async def heard(self) -> None:
        """Returns once all that was said was shown."""
        await self._all_heard.wait()

    def _handle(self, event: event_pb2.Event) -> None:
        match event.WhichOneof("kind"):
            case "note":
                self._show(note_line(event.note, SHORT_TIME))
                self._hear(event.note.note_id)
            case "discontinuity":
                self._tell(discontinuity_words(event.discontinuity))
            case "caught_up":
                self._caught_up.set()

    def _hear(self, note_id: str) -> None:
        self._unheard.discard(note_id)
        if not self._unheard:
            self._all_heard.set()
