"""One connection to Redis with nothing between the socket and hiredis.

Every note passes such connections. On each Pub/Sub message redis-py spends about 25 times as much
as hiredis, and tens of microseconds on each command of a pipeline. All else uses redis-py.
`connector` opens these connections.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from hiredis import ProtocolError, PushNotification, Reader, ReplyError, pack_command
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from notecast_runtime.redis.primary import refused

Command = Sequence[str | bytes | int]
"""A command's name and its arguments."""

OnPush = Callable[[list[Any]], None]
"""Takes a push message, such as `[b"message", channel, payload]`; must not block.

An exception that it raises ends the connection.
"""

OnProgress = Callable[[], None]
"""Called when more may be sent; must not block, nor raise."""

pack = cast("Callable[[Command], bytes]", pack_command)
"""Packs a command, which must be a tuple."""

MAX_IN_FLIGHT = 1_024
"""Bound on the commands of one connection that wait for their answers."""

_PING = pack(("PING",))
_PING_SECONDS = 0.25
_SILENT_LOOKS = 3
"""Redis answers each ping. So a connection is dead, or its server hangs, if it owes answers and
brings nothing at so many looks in a row, each `_PING_SECONDS` after the one before."""

_PARTIAL = object()
"""The parser's result if the rest of an answer is still to come."""


class RedisConnection(asyncio.Protocol):
    """Sends commands; receives their answers and push messages. It speaks RESP3.

    Nothing is ever sent twice: commands in flight when the connection is lost may have run or not.

    Args:
        on_push: takes push messages.
        on_progress: called after answers came, and when the socket can take more again.
    """

    def __init__(self, on_push: OnPush, on_progress: OnProgress) -> None:
        loop = asyncio.get_running_loop()
        self._on_push = on_push
        self._on_progress = on_progress
        self._reader = Reader(notEnoughData=_PARTIAL)
        self._in_flight: deque[asyncio.Future[Any] | None] = deque()
        self._transport: asyncio.Transport | None = None
        self._paused = self._has_received = False
        self._silent_looks = 0
        self._error: Exception | None = None
        self._given_up: asyncio.Future[Exception] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()

    @property
    def lost(self) -> bool:
        """Whether the connection has ended, on either side."""
        return self._error is not None

    @property
    def idle(self) -> bool:
        """Whether no answer is pending."""
        return not self._in_flight

    @property
    def free(self) -> int:
        """The number of commands that may be sent now; 0 also if the socket takes no more."""
        if self._paused or not self._open or self._given_up.done():
            return 0
        return max(MAX_IN_FLIGHT - len(self._in_flight), 0)

    @property
    def _open(self) -> bool:
        # A transport may know of a loss before it reports it; uvloop's then raises RuntimeError.
        return (
            self._error is None and self._transport is not None and not self._transport.is_closing()
        )

    def send(self, packed: bytes, answers: Iterable[asyncio.Future[Any] | None]) -> None:
        """Sends commands, in one write.

        Args:
            packed: their bytes (`pack`), concatenated.
            answers: a future for each answer that Redis owes, in order. None: the answer is
                ignored, but a refusal ends the connection. (SUBSCRIBE and UNSUBSCRIBE are owed
                none: push messages confirm them.) A future's result is the answer: a
                `hiredis.ReplyError` if Redis refuses, the connection's error if it is lost first.

        Raises:
            RedisConnectionError: the connection is lost; nothing was sent.
        """
        if self._transport is None or not self._open:
            raise RedisConnectionError(f"the connection is lost: {self._error}")
        self._in_flight.extend(answers)
        self._transport.write(packed)

    async def ask(self, commands: Sequence[Command]) -> Sequence[Any]:
        """Sends commands together; returns their answers, including refusals.

        There is no deadline: the caller sets it.

        Raises:
            RedisConnectionError: the connection was lost.
        """
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[Any]] = [loop.create_future() for _ in commands]
        self.send(b"".join(pack(tuple(command)) for command in commands), answers)
        found = await asyncio.gather(*answers)
        if self._error is not None:
            raise RedisConnectionError(f"the connection was lost: {self._error}")
        return found

    async def tend(self) -> None:
        """Watches the connection; only ends by raising the error that ended it.

        Raises:
            RedisTimeoutError: it does not even answer pings. It is still open: commands in
                flight may be answered, if the server is only slow.
            RefusedError: it leads to the wrong server. It is still open, likewise.
            RedisError: it was lost, or given up.
        """
        while True:
            if self._open:
                self.send(_PING, (None,))
            await asyncio.wait((self._given_up,), timeout=_PING_SECONDS)
            if self._given_up.done():
                raise self._given_up.result()
            if self._look() >= _SILENT_LOOKS:
                seconds = _SILENT_LOOKS * _PING_SECONDS
                raise RedisTimeoutError(f"no answer for {seconds:g} s, not to a ping either")

    def leave(self, error: Exception) -> None:
        """Stops sending, and makes `tend` raise the error; answers may still come."""
        if not self._given_up.done():
            self._given_up.set_result(error)

    def give_up(self, error: Exception) -> None:
        """Ends the connection at once; what is in flight gets the error for an answer."""
        if self._error is not None:
            return
        self._error = error
        self.leave(error)
        if self._transport is not None:
            self._transport.abort()
        while self._in_flight:
            answer = self._in_flight.popleft()
            if answer is not None and not answer.done():
                answer.set_result(error)

    async def aclose(self) -> None:
        """Ends the connection at once, and returns when its socket is closed."""
        self.give_up(RedisConnectionError("closed by this side"))
        if self._transport is not None:
            await asyncio.shield(self._gone)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport of a new connection."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fails all commands in flight: the connection is closed."""
        self.give_up(RedisConnectionError(f"closed: {exc or 'by the other side'}"))
        if not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        """Stops sending: the socket is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """Resumes sending."""
        self._paused = False
        self._on_progress()

    def data_received(self, data: bytes) -> None:
        """Parses received data; resolves answers, and passes on push messages."""
        self._has_received = True
        try:
            self._take(data)
        except ProtocolError as error:
            self.give_up(RedisConnectionError(f"not an answer of Redis: {error}"))
        except Exception as error:  # a bug: `tend` raises it
            self.give_up(error)
        self._on_progress()

    def _take(self, data: bytes) -> None:
        reader, in_flight = self._reader, self._in_flight
        reader.feed(data)
        while (reply := reader.gets()) is not _PARTIAL and self._error is None:
            if type(reply) is PushNotification:
                self._on_push(reply)
            elif not in_flight:
                raise ResponseError("Redis sent an answer that nothing asked for")
            else:
                answer = in_flight.popleft()
                if isinstance(reply, ReplyError):
                    self._heed(reply, nobody_asked=answer is None)
                if answer is not None and not answer.done():  # otherwise the caller has given up
                    answer.set_result(reply)

    def _heed(self, reply: ReplyError, *, nobody_asked: bool) -> None:
        """Leaves a server that says it is the wrong one; callers get its answers."""
        if error := refused(reply):
            self.leave(error)
        elif nobody_asked:
            raise ResponseError(str(reply))

    def _look(self) -> int:
        """Returns the number of looks in a row at which answers were owed and nothing had come.

        It counts looks, not time: a process that was stopped itself must not take its own silence
        for the server's.
        """
        owed = self._in_flight and not self._has_received
        self._silent_looks = self._silent_looks + 1 if owed else 0
        self._has_received = False
        return self._silent_looks
