"""`notecast.v1.ChatService`, as clients see it."""

import time
from functools import partial
from typing import Any

from grpc import aio

from chat_gateway.api.deadlines import Patience
from chat_gateway.api.relay import Relay
from chat_gateway.api.send import Sender
from chat_gateway.api.validation import (
    DEFAULT_PAGE_SIZE,
    RequestLimits,
    check_list,
    check_subscribe,
)
from chat_gateway.history.history import History
from chat_gateway.log.cursors import check_reached
from chat_gateway.log.event_bytes import note_bytes
from chat_gateway.log.ring import as_frames
from chat_gateway.store.heads import Heads
from notecast.v1.chat_pb2 import (
    ListNotesRequest,
    ListNotesResponse,
    SendNoteRequest,
    SendNoteResponse,
    SubscribeRequest,
)
from notecast.v1.chat_pb2_grpc import ChatServiceServicer
from notecast.v1.history_pb2 import LoggedNote
from notecast.v1.note_pb2 import Cursor, Note
from notecast_runtime.fair_turns import FairTurns
from notecast_runtime.standard_streams import ClientOf

Context = aio.ServicerContext[Any, Any]


class ChatService(ChatServiceServicer):
    """Serves the calls of clients. `notecast_runtime.status` turns raised errors into statuses.

    Args:
        sender: stores notes.
        relay: streams notes.
        history: reads logs.
        heads: reads the heads of rooms.
        limits: bounds on requests.
        timeout_seconds: bound on each wait of a unary call.
        reads: turns at reading from history.
        questions: turns at querying Redis.
        client_of: tells which client a call comes from.
    """

    def __init__(
        self,
        sender: Sender,
        relay: Relay,
        history: History,
        heads: Heads,
        limits: RequestLimits,
        timeout_seconds: float,
        reads: FairTurns,
        questions: FairTurns,
        client_of: ClientOf,
    ) -> None:
        self._sender = sender
        self._relay = relay
        self._history = history
        self._heads = heads
        self._limits = limits
        self._timeout_seconds = timeout_seconds
        self._reads = reads
        self._questions = questions
        self._client_of = client_of

    async def SendNote(self, request: SendNoteRequest, context: Context) -> SendNoteResponse:
        """Stores a note; the contract is in chat.proto."""
        with Patience(context, self._timeout_seconds) as seconds:
            return await self._sender.send(request, seconds)

    # The stubs' types only know generators; grpc.aio also takes a coroutine that writes.
    async def Subscribe(  # type: ignore[override]
        self, request: SubscribeRequest, context: Context
    ) -> None:
        """Streams notes as serialised responses; the contract is in chat.proto."""
        check_subscribe(request, self._limits)
        await self._relay.run(request.subscriptions, context, as_frames)

    async def ListNotes(self, request: ListNotesRequest, context: Context) -> ListNotesResponse:
        """Reads a page of notes, newest first; the contract is in chat.proto."""
        check_list(request)
        client = self._client_of(context)
        if request.HasField("before"):
            with Patience(context, self._timeout_seconds) as seconds:
                ask = partial(self._heads.read_one, request.room, seconds)
                head = await self._questions.run(client, seconds, ask)
            check_reached(request.before, "before", head)
        size = request.page_size or DEFAULT_PAGE_SIZE
        with Patience(context, self._timeout_seconds) as seconds:
            until = time.monotonic() + seconds
            async with self._reads.turn(client, seconds):
                page = await self._history.list_notes(
                    request.room, request.before.sequence, size, until - time.monotonic(), client
                )
        notes = [_note(logged) for logged in page.notes]
        if not page.has_older or not notes:
            return ListNotesResponse(notes=notes)
        oldest = Cursor(epoch=notes[0].epoch, sequence=notes[0].sequence)
        return ListNotesResponse(notes=notes, next_before=oldest)


def _note(logged: LoggedNote) -> Note:
    return Note.FromString(note_bytes(logged.epoch, logged.sequence, logged.note))
