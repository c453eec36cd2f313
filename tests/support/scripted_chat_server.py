"""A real gRPC server of the client contract, in memory, that does what a test tells it to.

It keeps the promises of the contract (cursors, CaughtUp, Discontinuity, paging) and breaks
exactly what a test asks for: it ends streams, refuses, falls silent, or loses its log.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from notecast.v1 import chat_pb2, chat_pb2_grpc, event_pb2, note_pb2
from notecast_runtime.errors import FieldViolation, InvalidRequestError, NotecastError
from notecast_runtime.health import Health
from notecast_runtime.server import create_server, listen
from notecast_runtime.status import abort

SERVICE = "notecast.v1.ChatService"

Context = aio.ServicerContext[Any, Any]
Fault = NotecastError | grpc.StatusCode


class _Log:
    """One room: notes without gaps; the first `removed` are gone by retention."""

    def __init__(self) -> None:
        self.notes: list[note_pb2.Note] = []
        self.removed = 0

    @property
    def head(self) -> int:
        return len(self.notes)


class ScriptedChatServer(chat_pb2_grpc.ChatServiceServicer):
    """Serves on entering, at `address`; the same port is taken again after `stop` and `start`."""

    def __init__(self) -> None:
        self.epoch = 1_000
        self.subscribe_requests: list[chat_pb2.SubscribeRequest] = []
        self.send_requests: list[chat_pb2.SendNoteRequest] = []
        self.send_fault: Fault | None = None
        self.lost_answers: list[Fault] = []
        """What the next sends end with after the note was stored."""
        self.subscribe_faults: list[Fault] = []
        """What the next calls of Subscribe end with, before any event."""
        self.cut_after: int | None = None
        """After how many events each stream ends."""
        self.sends_pass = asyncio.Event()
        """While it is not set, sends get no answer."""
        self.sends_pass.set()
        self.notes_pass = asyncio.Event()
        """While it is not set, streams deliver no note."""
        self.notes_pass.set()
        self.repeats = 0
        """How many notes before the cursor asked for a stream delivers again."""
        self.open_streams = 0
        self._logs: dict[str, _Log] = {}
        self._sent: dict[tuple[str, str], note_pb2.Note] = {}
        self._changed = asyncio.Condition()
        self._cut: tuple[int, grpc.StatusCode | None] = (0, None)
        self._port = 0
        self._server: aio.Server | None = None
        self.health = Health((SERVICE,), ("scripted",))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        self._server = create_server(self.health, (SERVICE,))
        chat_pb2_grpc.add_ChatServiceServicer_to_server(self, self._server)
        self._port = listen(self._server, "127.0.0.1", self._port)
        await self._server.start()

    async def stop(self) -> None:
        """Ends every call at once, as a process that dies does."""
        assert self._server is not None
        await self._server.stop(None)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def write(self, room: str, *texts: str, author: str = "ann") -> list[note_pb2.Note]:
        """Puts notes at the end of a room."""
        log = self._logs.setdefault(room, _Log())
        for text in texts:
            now = Timestamp()
            now.GetCurrentTime()
            sequence = log.head + 1
            log.notes.append(
                note_pb2.Note(
                    room=room,
                    epoch=self.epoch,
                    sequence=sequence,
                    note_id=f"{room}-{sequence}",
                    author=author,
                    text=text,
                    create_time=now,
                )
            )
        await self._wake()
        return log.notes[len(log.notes) - len(texts) :]

    async def cut(self, code: grpc.StatusCode | None = None) -> None:
        """Ends all streams: in an orderly way, or with a code."""
        self._cut = (self._cut[0] + 1, code)
        await self._wake()

    async def lose_log(self) -> None:
        """Forgets all notes; a new epoch begins. Streams end, as their server died."""
        self._logs.clear()
        self.epoch += 1_000
        await self.cut(grpc.StatusCode.UNAVAILABLE)

    def remove_oldest(self, room: str, count: int) -> None:
        """As retention does."""
        self._logs[room].removed = count

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def SendNote(  # noqa: N802 - as in the contract
        self, request: chat_pb2.SendNoteRequest, context: Context
    ) -> chat_pb2.SendNoteResponse:
        self.send_requests.append(request)
        if self.send_fault is not None:
            await _end(context, self.send_fault)
        if not request.text:
            raise InvalidRequestError([FieldViolation("text", "is empty; at least 1 byte")])
        if "\x1b" in request.text:
            raise InvalidRequestError([FieldViolation("text", "has the control character U+001B")])
        await self.sends_pass.wait()
        first = note = self._sent.get((request.room, request.note_id))
        if note is None:
            (note,) = await self.write(request.room, request.text, author=request.author)
            note.note_id = request.note_id
            note.labels.update(request.labels)
            self._sent[request.room, request.note_id] = note
        if self.lost_answers:
            await _end(context, self.lost_answers.pop(0))
        return chat_pb2.SendNoteResponse(
            cursor=note_pb2.Cursor(epoch=note.epoch, sequence=note.sequence),
            note_id=note.note_id,
            create_time=note.create_time,
            duplicate=first is not None,
        )

    async def ListNotes(  # noqa: N802
        self, request: chat_pb2.ListNotesRequest, _context: Context
    ) -> chat_pb2.ListNotesResponse:
        log = self._logs.get(request.room, _Log())
        end = request.before.sequence - 1 if request.HasField("before") else log.head
        begin = max(end - (request.page_size or 50), log.removed)
        answer = chat_pb2.ListNotesResponse(notes=log.notes[begin:end])
        if begin > log.removed:
            answer.next_before.CopyFrom(note_pb2.Cursor(epoch=self.epoch, sequence=begin + 1))
        return answer

    async def Subscribe(  # type: ignore[override]  # noqa: N802 - gRPC takes coroutines too
        self, request: chat_pb2.SubscribeRequest, context: Context
    ) -> None:
        self.subscribe_requests.append(request)
        if self.subscribe_faults:
            await _end(context, self.subscribe_faults.pop(0))
        self.open_streams += 1
        try:
            await self._stream(request, context)
        finally:
            self.open_streams -= 1

    async def _stream(self, request: chat_pb2.SubscribeRequest, context: Context) -> None:
        cut = self._cut
        positions = {
            each.room: self._start(each, f"subscriptions[{index}]")
            for index, each in enumerate(request.subscriptions)
        }
        behind = set(positions)
        sent = 0
        while True:
            events = self._breaks(request) if not sent else []
            for room, position in positions.items():
                log = self._logs.get(room, _Log())
                events += [event_pb2.Event(note=note) for note in log.notes[position:]]
                positions[room] = log.head
                if room in behind:
                    events.append(self._caught_up(room, log.head))
            behind.clear()
            for event in events:
                if sent == self.cut_after:
                    return
                if event.HasField("note"):
                    await self.notes_pass.wait()
                await context.write(chat_pb2.SubscribeResponse(events=[event]))
                sent += 1
            async with self._changed:
                await self._changed.wait_for(lambda: self._cut != cut or self._has_more(positions))
            if self._cut != cut:
                if self._cut[1] is not None:
                    await context.abort(self._cut[1], "cut by the test")
                return

    def _has_more(self, positions: dict[str, int]) -> bool:
        return any(self._logs.get(room, _Log()).head > at for room, at in positions.items())

    def _caught_up(self, room: str, sequence: int) -> event_pb2.Event:
        cursor = note_pb2.Cursor(epoch=self.epoch, sequence=sequence)
        return event_pb2.Event(caught_up=event_pb2.CaughtUp(room=room, cursor=cursor))

    def _start(self, wanted: chat_pb2.RoomSubscription, field: str) -> int:
        log = self._logs.get(wanted.room, _Log())
        match wanted.WhichOneof("start"):
            case "after":
                cursor = wanted.after
                if cursor.epoch != self.epoch or cursor.sequence > log.head:
                    fault = f"{cursor.epoch}:{cursor.sequence} is unknown"
                    raise InvalidRequestError([FieldViolation(f"{field}.after", fault)])
                return max(cursor.sequence - self.repeats, log.removed)
            case "last":
                return max(log.head - wanted.last, log.removed)
            case "from_start":
                return log.removed
            case _:
                return log.head

    def _breaks(self, request: chat_pb2.SubscribeRequest) -> list[event_pb2.Event]:
        """What retention has taken from after the cursors asked for."""
        return [
            event_pb2.Event(
                discontinuity=event_pb2.Discontinuity(
                    room=wanted.room,
                    reason=event_pb2.Discontinuity.REASON_RETENTION,
                    after=wanted.after,
                    resumes_at=note_pb2.Cursor(epoch=self.epoch, sequence=log.removed + 1),
                )
            )
            for wanted in request.subscriptions
            if wanted.HasField("after")
            and (log := self._logs.get(wanted.room, _Log())).removed > wanted.after.sequence
        ]


async def _end(context: Context, fault: Fault) -> None:
    if isinstance(fault, NotecastError):
        await abort(context, fault)
    await context.abort(fault, "as the test asked for")


def texts(events: Sequence[event_pb2.Event]) -> list[str]:
    """The texts of the notes among events."""
    return [event.note.text for event in events if event.HasField("note")]
