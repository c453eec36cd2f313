"""The outlet on `grpc.aio`: the call's own task, which awaits each write."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from notecast_runtime.errors import NotecastError

Clock = Callable[[], float]
"""Seconds that only ever grow."""


class GrpcioOutlet:
    """An outlet whose stream is written by `run`, in the task of the call.

    Args:
        clock: of `waiting_since`.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._body: bytes | None = None
        self._waiting_since: float | None = None
        self._error: NotecastError | None = None
        self._is_cut = False
        self._scope: asyncio.Timeout | None = None
        self._news = asyncio.Event()
        self._writable: Callable[[], None] = lambda: None

    @property
    def waiting_since(self) -> float | None:
        """As Outlet.waiting_since."""
        return self._waiting_since

    def on_writable(self, callback: Callable[[], None]) -> None:
        """As Outlet.on_writable."""
        self._writable = callback

    def write(self, body: bytes) -> bool:
        """As Outlet.write."""
        if self._body is not None or self._error is not None:
            return False
        self._body = body
        self._waiting_since = self._clock()
        self._news.set()
        return True

    def end(self, error: NotecastError) -> None:
        """As Outlet.end."""
        self._error = self._error or error
        self._news.set()

    def cut(self, error: NotecastError) -> None:
        """As Outlet.cut. What `grpc.aio` was given already still comes before the status."""
        if self._is_cut:
            return
        self._error = error
        self._is_cut = True
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def run(
        self,
        send: Callable[[Any], Awaitable[None]],
        messages: Callable[[bytes], Iterable[object]],
    ) -> NotecastError:
        """Sends what `write` takes, until the call is cancelled or the stream ended.

        Args:
            send: writes a message; returns when flow control has let it through.
            messages: the messages that a run of frames is sent as.

        Returns:
            What `end` or `cut` was given.
        """
        try:
            # Without a deadline: no timer runs. `cut` gives it one, which has passed.
            async with asyncio.timeout(None) as self._scope:
                while not self._is_over():
                    await self._news.wait()
                    self._news.clear()
                    await self._send(send, messages)
                    self._writable()
        except TimeoutError:
            if not self._is_cut:
                raise
        finally:
            self._scope = None
            self._body = None
        assert self._error is not None  # noqa: S101 - what ended the loop
        return self._error

    def _is_over(self) -> bool:
        return self._is_cut or (self._error is not None and self._body is None)

    async def _send(
        self,
        send: Callable[[Any], Awaitable[None]],
        messages: Callable[[bytes], Iterable[object]],
    ) -> None:
        if self._body is None:
            return
        for message in messages(self._body):
            await send(message)
            self._waiting_since = self._clock()
        self._body = None
        self._waiting_since = None
