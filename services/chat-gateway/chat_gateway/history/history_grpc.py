"""The history service over gRPC."""

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
    # Every replica that the name stands for takes its share.
    "loadBalancingConfig": [{"round_robin": {}}],
    # All that a replica is asked for is reading: when one dies, another is asked (gRPC's A6).
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
    # A proxy that the environment names is for the way out, not for the parts among themselves.
    ("grpc.enable_http_proxy", 0),
    # A replica that comes back is found again within a second.
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
        """As History.replay."""
        request = ReplayRequest(
            room=room, after=sequences.after, through=sequences.through, enough_bytes=enough_bytes
        )
        try:
            whose = () if client is None else client_metadata(client)
            call = self._stub.Replay(request, timeout=_REPLAY_SECONDS, metadata=whose)
            try:
                # Not `async for`: its iterator and the call refer to each other, and what the call
                # has received and nobody read would wait for the collector of garbage.
                while isinstance(part := await self._outcome(call, call.read()), ReplayResponse):
                    yield _part_of(part)
            finally:
                call.cancel()  # for who has had enough before the end
        except aio.AioRpcError as error:
            raise _unavailable(error) from error

    async def list_notes(
        self, room: str, before: int, page_size: int, timeout_seconds: float, client: ClientId
    ) -> NotesPage:
        """As History.list_notes."""
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
        """Ends the channel and the calls on it."""
        await self._channel.close()

    async def _outcome(self, call: Any, work: Awaitable[_Outcome]) -> _Outcome:  # noqa: ANN401 - uses what no type of grpcio's shows
        """What a call brings next.

        grpcio forgets what its core works on once the task that waits for it is cancelled. The core
        goes on all the same, and what it has received by then is never freed
        (https://github.com/grpc/grpc/issues/43360). So that task is not cancelled: where nobody
        waits any more, the core is told to end the call, and the task ends with it.

        Raises:
            HistoryUnavailableError: the call was cancelled on this side, and not by its caller: the
                channel has been closed.
        """
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                # The call's own `cancel` would cancel its tasks first.
                call._cython_call.cancel("nobody waits for it")  # noqa: SLF001
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
                task.add_done_callback(consume_exception)
            elif not_cancelled():  # else a caller would be told that it was cancelled itself
                raise HistoryUnavailableError(
                    "the channel to the history service is closed"
                ) from None
            raise
        finally:
            del task  # its error leads here, and would keep all of it for the collector


def _part_of(response: ReplayResponse) -> ReplayPart:
    head = (response.head_epoch, response.head_sequence) if response.head_epoch else None
    return ReplayPart(response.notes, response.first_remaining, response.nothing_missed, head)


_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def _unavailable(error: aio.AioRpcError) -> HistoryUnavailableError:
    if error.code() not in _AWAY:
        _log.error("history_failed", code=error.code().name, details=error.details())
    return HistoryUnavailableError(f"the history service does not answer: {error.code().name}")
