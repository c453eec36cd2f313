"""The history service over gRPC."""

import json
from collections.abc import AsyncGenerator

import grpc
import structlog
from grpc import aio

from chat_gateway.history import NotesPage, ReplayPart
from chat_gateway.room_log import Stretch
from notecast.v1.history_pb2 import HistoryServiceListNotesRequest, ReplayRequest
from notecast.v1.history_pb2_grpc import HistoryServiceStub
from notecast_runtime.client_metadata import client_metadata
from notecast_runtime.errors import HistoryUnavailableError
from notecast_wire.clients import ClientId

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

    async def replay(
        self, room: str, stretch: Stretch, client: ClientId | None
    ) -> AsyncGenerator[ReplayPart]:
        """As History.replay."""
        request = ReplayRequest(room=room, after=stretch.after, through=stretch.through)
        try:
            whose = () if client is None else client_metadata(client)
            call = self._stub.Replay(request, timeout=_REPLAY_SECONDS, metadata=whose)
            try:
                async for part in call:
                    yield ReplayPart(part.notes, part.first_remaining)
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
            page = await self._stub.ListNotes(
                request, timeout=timeout_seconds, metadata=client_metadata(client)
            )
        except aio.AioRpcError as error:
            raise _unavailable(error) from error
        return NotesPage(page.notes, page.has_older)

    async def close(self) -> None:
        """Ends the channel and the calls on it."""
        await self._channel.close()


_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def _unavailable(error: aio.AioRpcError) -> HistoryUnavailableError:
    if error.code() not in _AWAY:
        _log.error("history_failed", code=error.code().name, details=error.details())
    return HistoryUnavailableError(f"the history service does not answer: {error.code().name}")
