"""Pipelines the commands of many callers on one connection to Redis."""

import asyncio
import contextlib
from collections import deque
from typing import Any, Protocol

import structlog
from hiredis import ReplyError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from notecast_runtime.backoff import Backoff
from notecast_runtime.errors import OverloadedError, RedisUnavailableError, WritesRefusedError
from notecast_runtime.log_limiter import News
from notecast_runtime.redis.client import REDIS_AWAY, RedisError
from notecast_runtime.redis.connection import RedisConnection
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.refusals import RefusedError, refusal_of, words_for

_MAX_WAITING = 10_000
_BATCHING_SECONDS = 0.002
"""While answers are pending, commands are batched, at most for this long (the idea of RFC 896): a
write, and the read that it causes, cost as much as several commands."""

_WRITE_BYTES = 262_144
"""Bound on one write; the command that reaches it is included."""

_log = structlog.get_logger(__name__)


class Command:
    """A command that waits to be sent, or for its answer."""

    __slots__ = ("answer", "due_tick", "packed")

    def __init__(self, packed: bytes, answer: asyncio.Future[Any]) -> None:
        self.packed = packed
        self.answer = answer
        self.due_tick = 0

    def expire(self) -> None:
        """Called once the command's deadline has passed."""
        if not self.answer.done():
            self.answer.set_result(TimeoutError("not in time"))


class CommandDeadlines(Protocol):
    """Deadlines of many commands, such as `notecast_wire.Deadlines` with one timer."""

    def add(self, entry: Command, at: float) -> None:
        """Calls `entry.expire` at a time of the loop, or up to 10 ms later, unless discarded."""

    def discard(self, entry: Command) -> None:
        """Forgets the entry, if it has a deadline."""


class _NotSentError(Exception):
    """The result of a command that was not sent, because there is no connection."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class RedisPipeline:
    """Sends the commands of one turn of the event loop in one write, while `run` runs.

    Commands don't wait for earlier answers, up to the bound of a connection
    (`connection.MAX_IN_FLIGHT`). Further commands wait in a bounded queue, and are not sent if
    their deadline passes first. Nothing is ever sent twice.

    Args:
        connector: makes the connections, one after the other.
        deadlines: the deadlines of these commands only.
    """

    def __init__(self, connector: RedisConnector, deadlines: CommandDeadlines) -> None:
        self._connector = connector
        self._waiting: deque[Command] = deque()
        self._loop = asyncio.get_running_loop()  # asking each time takes a system call on 3.11
        self._deadlines = deadlines
        self._connection: RedisConnection | None = None
        self._left: list[RedisConnection] = []
        self._send_due: asyncio.Handle | None = None
        self._wanted = asyncio.Event()
        self._backoff = Backoff()
        self._losses = News()
        connector.primary.on_lost(self._leave_for_another)

    async def call(self, packed: bytes, deadline: float) -> Any:  # noqa: ANN401 - Redis's
        """Runs one command.

        Args:
            packed: its bytes (`connection.pack`).
            deadline: the end of the wait, by the loop's clock; up to 10 ms later. A command that
                still waits to be sent by then is not sent.

        Returns:
            The answer; a `hiredis.ReplyError` if Redis refuses.

        Raises:
            RedisUnavailableError: no answer in time, or none at all; the command may have run or
                not.
            WritesRefusedError: the only server that answers takes no writes; not sent.
            OverloadedError: too many commands wait; not sent.
        """
        if len(self._waiting) >= _MAX_WAITING:
            raise OverloadedError(f"{_MAX_WAITING} commands wait to be sent to Redis")
        command = Command(packed, self._loop.create_future())
        self._waiting.append(command)
        self._send_soon()
        self._deadlines.add(command, deadline)
        try:
            found = await command.answer
        finally:
            self._deadlines.discard(command)
        if isinstance(found, _NotSentError):
            refusal = refusal_of(found.cause)
            if refusal is not None:
                raise WritesRefusedError(refusal.reason, refusal.words) from found.cause
            raise RedisUnavailableError(words_for(found.cause)) from found.cause
        if isinstance(found, Exception) and not isinstance(found, ReplyError):
            raise RedisUnavailableError(words_for(found)) from found
        return found

    async def run(self) -> None:
        """Keeps a connection until cancelled; replaces one that is lost or silent."""
        try:
            while True:
                try:
                    await self._serve()
                except (*REDIS_AWAY, RedisError) as error:
                    self._tell_down(error)
                except Exception:
                    _log.exception("pipeline_failed")
                await self._rest()
        finally:
            for connection in self._left:
                await connection.aclose()

    async def _serve(self) -> None:
        primary = self._connector.primary
        generation = primary.generation
        try:
            connection = await self._connector.open(on_progress=self._send)
        except (*REDIS_AWAY, RedisError) as error:
            self._refuse(error)
            raise
        self._connection = connection
        self._losses.forget()
        self._backoff.reset()
        try:
            self._send()
            await connection.tend()
        except RedisTimeoutError:
            self._leave(connection)
            raise
        except RefusedError as error:
            self._leave(connection)
            primary.lost(generation, error)
            raise
        except BaseException:
            await connection.aclose()
            raise
        finally:
            self._connection = None

    def _leave_for_another(self, error: RefusedError) -> None:
        """Leaves the connection: another one has found that it leads to the wrong server."""
        if self._connection is not None:
            self._connection.leave(error)

    def _leave(self, connection: RedisConnection) -> None:
        """Stops sending on a connection; commands in flight wait until their deadlines.

        Redis may only be slow. Then a late answer is worth more than none.
        """
        self._left = [left for left in self._left if not left.lost]
        self._left.append(connection)
        error = RedisConnectionError("the connection was left")
        self._loop.call_later(self._connector.timeout_seconds, connection.give_up, error)

    def _send_soon(self) -> None:
        if self._connection is None:
            self._wanted.set()
        elif self._send_due is None:
            if self._connection.idle:
                self._send_due = self._loop.call_soon(self._send)
            else:
                self._send_due = self._loop.call_later(_BATCHING_SECONDS, self._send)

    def _send(self) -> None:
        """Sends waiting commands, up to the bound on those in flight."""
        if self._send_due is not None:
            self._send_due.cancel()
            self._send_due = None
        if not self._waiting or self._connection is None:
            return
        free, size = self._connection.free, 0
        batch: list[bytes] = []
        answers: list[asyncio.Future[Any]] = []
        while self._waiting and len(batch) < free and size < _WRITE_BYTES:
            command = self._waiting.popleft()
            if not command.answer.done():  # otherwise its caller has given up
                batch.append(command.packed)
                answers.append(command.answer)
                size += len(command.packed)
        if batch:
            self._connection.send(b"".join(batch), answers)
        if self._waiting and self._connection.free:
            self._send_soon()

    def _refuse(self, error: Exception) -> None:
        """Fails all waiting commands: Redis can't be reached."""
        while self._waiting:
            answer = self._waiting.popleft().answer
            if not answer.done():
                answer.set_result(_NotSentError(error))

    def _tell_down(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        if self._losses.is_new(text):  # attempts come often while many wait
            _log.warning("pipeline_lost", address=self._connector.address, error=text)

    async def _rest(self) -> None:
        """Waits before the next attempt; only briefly if commands wait."""
        await asyncio.sleep(Backoff().next_delay())
        self._wanted.clear()
        if not self._waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._backoff.next_delay()):
                    await self._wanted.wait()
