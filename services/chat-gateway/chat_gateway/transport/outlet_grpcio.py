"""Streams on `grpc.aio`: each is the task of its call, which awaits each write."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import grpc
from grpc import aio

from chat_gateway.transport.outlet import Audience, Context, Outlet, TrailingMetadata, Transport
from notecast_runtime.status import Ending
from notecast_runtime.transports import GrpcioServerTransport
from notecast_wire.calls.peers import Origin
from notecast_wire.fairness.held_bytes import Holder

Clock = Callable[[], float]
"""Monotonic time in seconds."""


class GrpcioOutlet:
    """An outlet whose stream is written by `run`, in the task of the call.

    Args:
        peer: as the call's context gives it.
        clock: the clock of `waiting_since`.

    Attributes:
        origin: as Outlet.origin; without an id of the connection, of which grpc.aio tells nothing.
    """

    def __init__(self, peer: str, clock: Clock = time.monotonic) -> None:
        self.origin = Origin(peer)
        self._clock = clock
        self._message: bytes | None = None
        self._has_refused = False
        self._waiting_since: float | None = None
        self._ending: Ending | None = None
        self._news = asyncio.Event()
        self._writable: Callable[[], None] = _nothing
        self._done: Callable[[], None] = _nothing

    @property
    def waiting_since(self) -> float | None:
        """Monotonic time since which pending data has made no progress."""
        return self._waiting_since

    def on_writable(self, callback: Callable[[], None]) -> None:
        """Sets the callback for when there is room again."""
        self._writable = callback

    def hold(self, holder: Holder, size: int) -> None:
        """Does nothing: grpc.aio has no budget of unsent data, so nothing is ever too much."""

    def on_done(self, callback: Callable[[], None]) -> None:
        """Sets the callback for the end of the stream."""
        self._done = callback

    def write(self, message: bytes) -> bool:
        """Takes a message for `run` to send, if there is room."""
        if self._message is not None or self._ending is not None:
            self._has_refused = True
            return False
        self._message = message
        self._waiting_since = self._clock()
        self._news.set()
        return True

    def end(
        self, code: grpc.StatusCode, details: str, trailing_metadata: TrailingMetadata = ()
    ) -> None:
        """Ends the stream with a status, after what was taken."""
        self._ending = self._ending or Ending(code, details, trailing_metadata)
        self._news.set()

    async def run(self, send: Callable[[bytes], Awaitable[None]]) -> Ending:
        """Sends what `write` takes, until the call is cancelled or the stream ended.

        Args:
            send: writes a message; returns when flow control has let it through.

        Returns:
            What `end` was given.
        """
        while self._ending is None or self._message is not None:
            await self._news.wait()
            self._news.clear()
            if self._message is not None:
                await send(self._message)
                self._message = self._waiting_since = None
            if self._has_refused:
                self._has_refused = False
                self._writable()
        return self._ending

    def finish(self) -> None:
        """Reports that the stream is over."""
        self._message = self._waiting_since = None
        self._done()


def _nothing() -> None:
    pass


class GrpcioAudience:
    """An audience of `GrpcioOutlet`, each written by itself: grpc.aio has no other way."""

    def __init__(self) -> None:
        self._outlets: dict[Outlet, None] = {}

    def __len__(self) -> int:
        """The number of streams."""
        return len(self._outlets)

    @property
    def connections(self) -> int:
        """The number of streams: grpc.aio does not tell their connections."""
        return len(self._outlets)

    def add(self, outlet: Outlet) -> None:
        """Adds a stream."""
        self._outlets[outlet] = None

    def discard(self, outlet: Outlet) -> None:
        """Removes a stream, if it is a member."""
        self._outlets.pop(outlet, None)

    def send(self, message: bytes) -> Sequence[Outlet]:
        """Writes to each stream; returns those that could not take it."""
        return [outlet for outlet in self._outlets if not outlet.write(message)]


class GrpcioTransport(GrpcioServerTransport, Transport):
    """Implements `Transport`; a call's handler lasts as long as its stream."""

    run_bytes = 262_144
    """Each message costs the same here, so they are large.

    Far below the 4 MiB that gRPC clients take in one, with the largest note on top.
    """

    def make_audience(self) -> Audience:
        """Makes an audience without members."""
        return GrpcioAudience()

    def pace(self, seconds: float) -> None:
        """Does nothing: grpc.aio does not batch received data."""

    async def carry(self, context: Context, flow: Callable[[Outlet], None]) -> None:
        """Carries a stream; returns when it is over, and aborts the call on an error."""
        outlet = GrpcioOutlet(context.peer())
        try:
            flow(outlet)
            await context.send_initial_metadata(())
            code, details, trailing_metadata = await outlet.run(context.write)
            # The status waits for what the client does not read. Only then the stream is over:
            # otherwise a client could keep more streams than it may have.
            if code is grpc.StatusCode.OK:
                return  # this sends OK; aborting with OK would be an error
            with suppress(aio.InternalError):  # the client has left instead
                await context.abort(code, details, trailing_metadata)
        finally:
            outlet.finish()
