"""`grpc.ChatServer`: the tutorial's service, as another view of one room."""

from collections.abc import Sequence
from typing import Any

from grpc import aio

from chat_gateway.api.deadlines import Patience
from chat_gateway.api.relay import Relay
from chat_gateway.api.send import Sender
from chat_gateway.log.ring import Run
from notecast.v1 import note_pb2
from notecast.v1.chat_pb2 import RoomSubscription, SendNoteRequest, SubscribeResponse
from notecast_runtime.errors import FieldViolation, InvalidRequestError
from notecast_text.names import NameKind, mended
from tutorial.chat_pb2 import Empty, Note
from tutorial.chat_pb2_grpc import ChatServerServicer

_FIELDS = {"author": "name", "text": "message"}

Context = aio.ServicerContext[Any, Any]


class TutorialService(ChatServerServicer):
    """Serves the calls of the tutorial's client, in one room.

    Args:
        room: the room of the service.
        sender: stores notes.
        relay: streams notes.
        timeout_seconds: bound on storing a note.
    """

    def __init__(self, room: str, sender: Sender, relay: Relay, timeout_seconds: float) -> None:
        self._room = room
        self._sender = sender
        self._relay = relay
        self._timeout_seconds = timeout_seconds

    async def SendNote(self, request: Note, context: Context) -> Empty:
        """Stores a note; the contract is in the tutorial's chat.proto.

        Its users type names that nothing has checked, and its client stops at an error. So a name
        that an author may not have is mended rather than refused, unless nothing is left of it.
        """
        author = mended(request.name, NameKind.PERSON)
        note = SendNoteRequest(room=self._room, author=author, text=request.message)
        try:
            with Patience(context, self._timeout_seconds) as seconds:
                await self._sender.send(note, seconds)
        except InvalidRequestError as error:
            raise _in_their_words(error) from error
        return Empty()

    # The stubs' types only know generators; grpc.aio also takes a coroutine that writes.
    async def ChatStream(  # type: ignore[override]
        self,
        request: Empty,  # noqa: ARG002
        context: Context,
    ) -> None:
        """Streams the room's whole retained history, then live notes."""
        whole = RoomSubscription(room=self._room, from_start=True)
        await self._relay.run([whole], context, as_notes)


def as_notes(run: Run) -> Sequence[Run]:
    """Implements `Encoding`: each note is a message, and nothing else is sent."""
    notes = [
        Run(_tutorial_bytes(event.note), event.note.sequence + 1)
        for event in SubscribeResponse.FromString(run.body).events
        if event.HasField("note")
    ]
    last = notes.pop().body if notes else b""
    return [*notes, Run(last, run.next_sequence)]


def _tutorial_bytes(note: note_pb2.Note) -> bytes:
    return Note(name=note.author, message=note.text).SerializeToString()


def _in_their_words(error: InvalidRequestError) -> InvalidRequestError:
    return InvalidRequestError(
        [
            FieldViolation(_FIELDS.get(violation.field, violation.field), violation.fault)
            for violation in error.violations
        ]
    )
