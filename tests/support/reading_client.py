"""A client that stays: reads a room, and comes back after its cursor when the stream breaks."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import grpc
from grpc import aio

from notecast.v1.chat_pb2 import RoomSubscription, SubscribeRequest, SubscribeResponse
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from notecast.v1.event_pb2 import Discontinuity, Event
from notecast.v1.note_pb2 import Cursor, Note
from notecast_runtime.backoff import Backoff
from tests.support.waiting import eventually

# Else all channels of a process to one address share a connection.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


class ReadingClient:
    """Reads one room from entering to leaving, on a connection of its own.

    Args:
        target: the gateway, or Envoy.
        room: what to read.
        from_start: whether to begin with the oldest note, or else with the next.

    Attributes:
        notes: what was delivered, in order of delivery.
        discontinuities: the breaks of the log that it was told of.
        reconnects: how often the stream broke and was taken up again.
    """

    def __init__(self, target: str, room: str, *, from_start: bool = False) -> None:
        self.notes: list[Note] = []
        self.discontinuities: list[Discontinuity] = []
        self.reconnects = 0
        self._target = target
        self._place = RoomSubscription(room=room)
        if from_start:
            self._place.from_start = True
        self._caught_up = False
        self._reading: asyncio.Task[None] | None = None

    @property
    def sequences(self) -> list[int]:
        """The sequences of the notes, in order of delivery."""
        return [note.sequence for note in self.notes]

    @property
    def texts(self) -> list[str]:
        """What was written, in order of delivery."""
        return [note.text for note in self.notes]

    async def holds(self, count: int, seconds: float = 30.0) -> None:
        """Returns once that many notes were delivered; AssertionError where they were not."""
        await self._until(lambda: len(self.notes) >= count, f"{count} notes delivered", seconds)

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        await self._until(lambda: self._caught_up, "the reader has caught up", 20)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._reading is not None
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    async def _until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        reading = self._reading
        assert reading is not None
        await eventually(lambda: reading.done() or condition(), what, seconds)
        if reading.done():
            reading.result()  # it ends by itself only with an error

    async def _read(self) -> None:
        backoff = Backoff()
        async with aio.insecure_channel(self._target, options=_OPTIONS) as channel:
            while True:
                try:
                    await self._follow(channel, backoff)
                except aio.AioRpcError as error:
                    if not _is_broken_way(error):
                        raise
                self.reconnects += 1
                await asyncio.sleep(backoff.next_delay())

    async def _follow(self, channel: aio.Channel, backoff: Backoff) -> None:
        call = ChatServiceStub(channel).Subscribe(SubscribeRequest(subscriptions=[self._place]))
        while isinstance(response := await call.read(), SubscribeResponse):
            backoff.reset()
            for event in response.events:
                self._take(event)

    def _take(self, event: Event) -> None:
        if event.HasField("discontinuity"):
            self.discontinuities.append(event.discontinuity)
        elif event.HasField("note"):
            self.notes.append(event.note)
            cursor = Cursor(epoch=event.note.epoch, sequence=event.note.sequence)
            self._place.after.CopyFrom(cursor)
        elif event.HasField("caught_up"):
            self._caught_up = True
            self._place.after.CopyFrom(event.caught_up.cursor)


def _is_broken_way(error: aio.AioRpcError) -> bool:
    """Whether the stream broke on its way, rather than that the server gave this answer.

    A proxy that loses its server in the middle of an answer can only reset the stream, which
    gRPC reads as INTERNAL (its HTTP/2 mapping, "Errors").
    """
    if error.code() == grpc.StatusCode.INTERNAL:
        return "RST_STREAM" in (error.details() or "")
    return error.code() == grpc.StatusCode.UNAVAILABLE
