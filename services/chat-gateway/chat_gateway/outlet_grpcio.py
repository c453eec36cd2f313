"""The outlet on `grpc.aio`: the call's own task, which awaits each write."""

import asyncio
from collections.abc import Awaitable, Callable

from notecast_runtime.errors import NotecastError


class GrpcioOutlet:
    """An outlet whose stream is written by `run`, in the task of the call."""

    def __init__(self) -> None:
        self._body: bytes | None = None
        self._error: NotecastError | None = None
        self._news = asyncio.Event()
        self._writable: Callable[[], None] = lambda: None

    def on_writable(self, callback: Callable[[], None]) -> None:
        """As Outlet.on_writable."""
        self._writable = callback

    def write(self, body: bytes) -> bool:
        """As Outlet.write."""
        if self._body is not None or self._error is not None:
            return False
        self._body = body
        self._news.set()
        return True

    def end(self, error: NotecastError) -> None:
        """As Outlet.end."""
        self._error = error
        self._news.set()

    async def run(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Sends what `write` takes, until the call is cancelled or the stream ended.

        Args:
            send: returns when flow control has let the message through.

        Raises:
            NotecastError: what `end` was given.
        """
        while True:
            await self._news.wait()
            self._news.clear()
            if self._body is not None:
                await send(self._body)
                self._body = None
            if self._error is not None:
                raise self._error
            self._writable()
