"""Services started in this process, on free ports, and a client's hands to use them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from grpc import aio

import chat_gateway.__main__
import history.__main__
from chat_gateway.settings import GatewaySettings
from history.settings import HistorySettings
from notecast.v1.chat_pb2 import (
    RoomSubscription,
    SendNoteRequest,
    SendNoteResponse,
    SubscribeRequest,
    SubscribeResponse,
)
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from notecast.v1.event_pb2 import Event
from notecast.v1.note_pb2 import Cursor, Note
from tests.support.health import wait_until_serving

_READ_SECONDS = 20.0


@asynccontextmanager
async def running_history(
    redis_url: str, *, ready: object = True, **settings: object
) -> AsyncIterator[str]:
    """A history service, ready unless that is not wanted; gives its target."""
    chosen = {"redis_url": redis_url, "listen_host": "127.0.0.1", "listen_port": 0} | settings
    async with history.__main__.running(HistorySettings.model_validate(chosen)) as port:
        target = f"127.0.0.1:{port}"
        if ready:
            await wait_until_serving(target)
        yield target


@asynccontextmanager
async def running_gateway(
    redis_url: str, history_target: str = "127.0.0.1:9", *, ready: bool = True, **settings: object
) -> AsyncIterator["Gateway"]:
    """A gateway, ready unless that is not wanted. Without a target, its history is down."""
    chosen = {
        "redis_url": redis_url,
        "listen_host": "127.0.0.1",
        "listen_port": 0,
        "history_target": history_target,
        "shutdown_grace_seconds": 1,
        "drain_notice_seconds": 0,
        "drain_spread_seconds": 0,
    } | settings
    async with chat_gateway.__main__.running(GatewaySettings.model_validate(chosen)) as port:
        target = f"127.0.0.1:{port}"
        if ready:
            await wait_until_serving(target)
        async with aio.insecure_channel(target) as channel:
            yield Gateway(target, channel)


class Gateway:
    """One gateway, as its clients reach it."""

    def __init__(self, target: str, channel: aio.Channel) -> None:
        self.target = target
        self.channel = channel
        self.stub = ChatServiceStub(channel)

    async def send(
        self, room: str, text: str, author: str = "ann", deadline_seconds: float = 10
    ) -> SendNoteResponse:
        """Sends one note."""
        request = SendNoteRequest(room=room, author=author, text=text)
        return await self.stub.SendNote(request, timeout=deadline_seconds)

    def read(self, *rooms: RoomSubscription | str) -> "Reader":
        """A stream over rooms; a room's bare name means from now on."""
        wanted = [RoomSubscription(room=r) if isinstance(r, str) else r for r in rooms]
        return Reader(self.stub.Subscribe(SubscribeRequest(subscriptions=wanted)))


def from_start(room: str) -> RoomSubscription:
    """A subscription from the room's first note."""
    return RoomSubscription(room=room, from_start=True)


def behind(note: Note) -> RoomSubscription:
    """A subscription that resumes after a note."""
    cursor = Cursor(epoch=note.epoch, sequence=note.sequence)
    return RoomSubscription(room=note.room, after=cursor)


class Reader:
    """A stream, open on entering, and cancelled on leaving; events come in order."""

    def __init__(self, call: aio.UnaryStreamCall[SubscribeRequest, SubscribeResponse]) -> None:
        self.call = call
        self._events: list[Event] = []

    async def __aenter__(self) -> Self:
        await self.call.initial_metadata()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.call.cancel()

    async def event(self) -> Event:
        """The next event; AioRpcError where the stream ends with one."""
        async with asyncio.timeout(_READ_SECONDS):
            while not self._events:
                response = await self.call.read()
                assert isinstance(response, SubscribeResponse), "the stream has ended"
                self._events.extend(response.events)
        return self._events.pop(0)

    async def kinds(self, count: int) -> list[str]:
        """The next events, each as a note's text or else the name of its kind."""
        return [_describe(await self.event()) for _ in range(count)]

    async def notes(self, count: int) -> list[Note]:
        """The next notes; what is said between them is passed over."""
        found: list[Note] = []
        while len(found) < count:
            event = await self.event()
            if event.HasField("note"):
                found.append(event.note)
        return found


def _describe(event: Event) -> str:
    return event.note.text if event.HasField("note") else event.WhichOneof("kind") or "none"


def texts(notes: Sequence[Note]) -> list[str]:
    """What was written."""
    return [note.text for note in notes]
