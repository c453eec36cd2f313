"""A subscription that outlives its streams: it reconnects, and resumes."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from grpc import aio

from notecast.v1 import chat_pb2, event_pb2
from notecast_client.backoff import Backoff
from notecast_client.errors import (
    ClientError,
    NoAnswerError,
    RequestRefusedError,
    ServerFaultError,
    ServerUnavailableError,
    error_of,
)
from notecast_client.resume import Progress

Stream = aio.UnaryStreamCall[chat_pb2.SubscribeRequest, chat_pb2.SubscribeResponse]
OnLost = Callable[[ClientError | None, float], None]


@dataclass(frozen=True)
class Patience:
    """How long a subscription waits for an event before it gives up, in seconds."""

    first: float
    """Until its first event."""

    later: float | None = None
    """Afterwards; None: it never gives up."""


class Subscription:
    """Reads one stream after the other and hands out each note once, in order.

    Args:
        open_stream: starts a call of ChatService.Subscribe.
        progress: the rooms, and how far they were read.
        patience: when to give up.
        on_lost: called for each stream that ended, unless its server had sent it away: with the
            error (None: the server ended it in an orderly way), and the seconds until the next
            attempt.
    """

    def __init__(
        self,
        open_stream: Callable[[chat_pb2.SubscribeRequest], Stream],
        progress: Progress,
        patience: Patience,
        on_lost: OnLost,
    ) -> None:
        self._open_stream = open_stream
        self._progress = progress
        self._patience = patience
        self._on_lost = on_lost
        self._backoff = Backoff()
        self._limit: float | None = patience.first
        self._time = asyncio.get_running_loop().time
        self._last_event_at = self._time()
        self._stream_has_spoken = False
        self._reconnect_after: float | None = None

    async def events(self) -> AsyncGenerator[event_pb2.Event]:
        """Yields the events, until the caller closes the generator.

        Raises:
            RequestRefusedError: the server refuses this subscription.
            ServerFaultError: the server failed without giving any event.
            ServerUnavailableError: patience ran out.
        """
        while True:
            began = self._time()
            lost: ClientError | None = None
            try:
                async with aclosing(self._one_stream()) as events:
                    async for event in events:
                        yield event
            except RequestRefusedError as error:
                breaks = self._progress.forget(violation.field for violation in error.violations)
                if not breaks:
                    raise
                for event in breaks:
                    yield event
                continue  # a room is forgotten once, so this can't repeat without progress
            except ServerFaultError as error:
                if not self._stream_has_spoken:
                    raise
                lost = error  # a proxy resets the streams of a server that died with such codes
            except ServerUnavailableError as error:
                lost = error
            lived_seconds = self._time() - began
            self._backoff.stream_ended(lived_seconds)
            if self._reconnect_after is None:
                await self._wait_after(lost)
            else:
                await self._wait_as_asked(self._reconnect_after, lived_seconds)

    async def _one_stream(self) -> AsyncGenerator[event_pb2.Event]:
        self._stream_has_spoken = False
        self._reconnect_after = None
        call = self._open_stream(self._progress.request())
        try:
            while self._reconnect_after is None and (response := await self._read(call)):
                for event in response.events:
                    if self._progress.admit(event):
                        yield event
                    elif event.HasField("reconnect"):
                        self._reconnect_after = event.reconnect.after_ms / 1000
        finally:
            call.cancel()

    async def _read(self, call: Stream) -> chat_pb2.SubscribeResponse | None:
        """Reads the next response; None if the stream ended."""
        try:
            async with asyncio.timeout(self._limit):
                response = await call.read()
        except TimeoutError:
            raise NoAnswerError(self._limit or 0) from None
        except aio.AioRpcError as error:
            raise error_of(error, self._limit or 0) from None
        if not isinstance(response, chat_pb2.SubscribeResponse):
            return None
        self._stream_has_spoken = True
        self._last_event_at = self._time()
        self._limit = self._patience.later
        return response

    async def _wait_after(self, lost: ClientError | None) -> None:
        """Waits for the next attempt, or gives up if patience would run out before."""
        advice = lost.retry_after_seconds if isinstance(lost, ServerUnavailableError) else None
        delay = self._backoff.next_delay(advice)
        self._check_patience(delay, lost)
        self._on_lost(lost, delay)
        await asyncio.sleep(delay)

    async def _wait_as_asked(self, seconds: float, lived_seconds: float) -> None:
        """Waits as `Reconnect` asks; not reported, as nothing was lost."""
        delay = self._backoff.planned_delay(seconds, lived_seconds)
        self._check_patience(delay, None)
        await asyncio.sleep(delay)

    def _check_patience(self, delay: float, lost: ClientError | None) -> None:
        if self._limit is not None and self._time() + delay > self._last_event_at + self._limit:
            raise lost or ServerUnavailableError("the server keeps ending the stream")
