"""Reads from the history service over gRPC."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, TypeVar

import grpc
import structlog
from grpc import aio

from chat_gateway.history.history import NotesPage, ReplayPart
from chat_gateway.log.room_log import SequenceRange
from notecast.v1.history_pb2 import (
    HistoryServiceListNotesRequest,
    ReplayRequest,
    ReplayResponse,
)
from notecast.v1.history_pb2_grpc import HistoryServiceStub
from notecast_runtime.client_metadata import client_metadata
from notecast_runtime.errors import HistoryUnavailableError, OverloadedError
from notecast_runtime.status import reason_of
from notecast_runtime.tasks import consume_exception, not_cancelled
from notecast_wire.fairness.clients import ClientId

_Outcome = TypeVar("_Outcome")

_REPLAY_SECONDS = 10.0

_SERVICE_CONFIG = {
    # All replicas that the name resolves to get their share.
    "loadBalancingConfig": [{"round_robin": {}}],
    # All calls only read: if a replica dies, another one is asked (gRPC's A6).
    "methodConfig": [
        {
            "name": [{"service": "notecast.v1.HistoryService"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}

_OPTIONS = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A proxy of the environment is for outgoing traffic, not for calls between services.
    ("grpc.enable_http_proxy", 0),
    # Finds a replica that comes back within a second.
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

_log = structlog.get_logger(__name__)


class GrpcHistory:
    """Implements `History` over one channel.

    Args:
        target: gRPC target of the history service, as in `dns:///history:50052`.
    """

    def __init__(self, target: str) -> None:
        self._channel = aio.insecure_channel(target, options=_OPTIONS)
        self._stub = HistoryServiceStub(self._channel)
        self._ending: set[asyncio.Future[Any]] = set()

    async def replay(
        self, room: str, sequences: SequenceRange, client: ClientId | None, enough_bytes: int = 0
    ) -> AsyncGenerator[ReplayPart]:
        """Reads a range of a room's sequences in order; see `History.replay`."""
        request = ReplayRequest(
            room=room, after=sequences.after, through=sequences.through, enough_bytes=enough_bytes
        )
        try:
            whose = () if client is None else client_metadata(client)
            call = self._stub.Replay(request, timeout=_REPLAY_SECONDS, metadata=whose)
            try:
                # Not `async for`: its iterator and the call refer to each other, so received data
                # that was not read would wait for the garbage collector.
                while isinstance(part := await self._outcome(call, call.read()), ReplayResponse):
                    yield _part_of(part)
            finally:
                call.cancel()  # for a caller that stops before the end
        except aio.AioRpcError as error:
            raise _unavailable(error) from error

    async def list_notes(
        self, room: str, before: int, page_size: int, timeout_seconds: float, client: ClientId
    ) -> NotesPage:
        """Reads the last notes before a sequence; see `History.list_notes`."""
        request = HistoryServiceListNotesRequest(room=room, before=before, page_size=page_size)
        try:
            call = self._stub.ListNotes(
                request, timeout=timeout_seconds, metadata=client_metadata(client)
            )
            page = await self._outcome(call, call)
        except aio.AioRpcError as error:
            if reason_of(error) == OverloadedError.reason:
                raise OverloadedError(error.details() or "") from error
            raise _unavailable(error) from error
        return NotesPage(page.notes, page.has_older)

    async def close(self) -> None:
        """Closes the channel and ends the calls on it."""
        await self._channel.close()

    async def _outcome(self, call: Any, work: Awaitable[_Outcome]) -> _Outcome:  # noqa: ANN401 - uses what no type of grpcio's shows
        """Waits for the next result of a call.

        grpcio forgets an operation of its core if the task that waits for it is cancelled. The core
        continues, and what it receives then is never freed
        (https://github.com/grpc/grpc/issues/43360). So that task is not cancelled: if no caller
        waits any more, the core is told to end the call, and the task ends with it.

        Raises:
            HistoryUnavailableError: the call was cancelled on this side, but not by its caller: the
                channel has been closed.
        """
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                # The call's own `cancel` would cancel its tasks first.
                call._cython_call.cancel("its caller has left")  # noqa: SLF001
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
                task.add_done_callback(consume_exception)
            elif not_cancelled():  # otherwise the caller would seem to be cancelled
                raise HistoryUnavailableError(
                    "the channel to the history service is closed"
                ) from None
            raise
        finally:
            del task  # its error refers to this frame: a cycle for the garbage collector


def _part_of(response: ReplayResponse) -> ReplayPart:
    head = (response.head_epoch, response.head_sequence) if response.head_epoch else None
    return ReplayPart(response.notes, response.first_remaining, response.nothing_missed, head)


_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def _unavailable(error: aio.AioRpcError) -> HistoryUnavailableError:
    if error.code() not in _AWAY:
        _log.error("history_failed", code=error.code().name, details=error.details())
    return HistoryUnavailableError(f"the history service does not answer: {error.code().name}")
