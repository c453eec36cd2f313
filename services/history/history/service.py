"""Serves `notecast.v1.HistoryService`."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any, Final

from grpc import aio

from history.paging import Pager
from history.replay import Replayer
from history.validation import check_list_notes, check_replay
from notecast.v1 import history_pb2, history_pb2_grpc
from notecast_runtime.errors import OverloadedError
from notecast_runtime.fair_turns import FairTurns
from notecast_runtime.standard_streams import ClientOf
from notecast_runtime.status import ending_of

_TURN_SECONDS: Final = 5.0
_WAITING_SHARE: Final = 0.9
_NO_RETRY: Final = ("grpc-retry-pushback-ms", "-1")
"""Keeps the gateway's channel from asking again at once (gRPC's A6): it would wait behind the same
reads."""

CONTRACT = history_pb2.DESCRIPTOR.services_by_name["HistoryService"]
SERVICE = CONTRACT.full_name


class HistoryServicer(history_pb2_grpc.HistoryServiceServicer):
    """Answers gateways. Raises NotecastError, which the server turns into a status.

    Args:
        replayer: reads forwards.
        pager: reads backwards.
        replays: turns at reading forwards.
        pages: turns at reading backwards: a client waits for a page, and few replays are urgent.
        client_of: tells for which client a gateway calls.
    """

    def __init__(
        self,
        replayer: Replayer,
        pager: Pager,
        replays: FairTurns,
        pages: FairTurns,
        client_of: ClientOf,
    ) -> None:
        self._replayer = replayer
        self._pager = pager
        self._replays = replays
        self._pages = pages
        self._client_of = client_of

    async def Replay(  # type: ignore[override] # it writes where the stub would yield
        self,
        request: history_pb2.ReplayRequest,
        context: aio.ServicerContext[history_pb2.ReplayRequest, history_pb2.ReplayResponse],
    ) -> None:
        """Streams a range of a room's log in order."""
        check_replay(request)
        client = self._client_of(context)
        responses = self._replayer.replay(
            request.room, request.after, request.through, request.enough_bytes
        )
        step = partial(_next, responses)
        try:
            while True:
                # A turn for each response, so that a gateway that reads slowly holds none. A
                # response is read completely even if its gateway leaves, because an interrupted
                # command costs a connection. The next one is not started.
                response = await self._replays.run(client, _wait(context), step)
                if response is None:
                    return
                await context.write(response)
        finally:
            if not responses.ag_running:  # type: ignore[attr-defined]  # else the event loop closes it, once that response is read
                await responses.aclose()

    async def ListNotes(
        self,
        request: history_pb2.HistoryServiceListNotesRequest,
        context: aio.ServicerContext[
            history_pb2.HistoryServiceListNotesRequest,
            history_pb2.HistoryServiceListNotesResponse,
        ],
    ) -> history_pb2.HistoryServiceListNotesResponse:
        """Reads a page of a room's log, backwards."""
        check_list_notes(request)
        read = partial(self._pager.page, request.room, request.before, request.page_size)
        try:
            page = await self._pages.run(self._client_of(context), _wait(context), read)
        except OverloadedError as error:
            code, details, metadata = ending_of(error)
            await context.abort(code, details, (*metadata, _NO_RETRY))
        return history_pb2.HistoryServiceListNotesResponse(
            notes=page.notes, has_older=page.has_older
        )


async def _next(
    responses: AsyncGenerator[history_pb2.ReplayResponse],
) -> history_pb2.ReplayResponse | None:
    return await anext(responses, None)


def _wait(context: aio.ServicerContext[Any, Any]) -> float:
    """Bound on the wait for a turn, in seconds: most of the gateway's deadline, at most 5 s.

    The rest is for the answer that no turn came; without one, the gateway takes history for dead.
    """
    remaining = context.time_remaining()
    if remaining is None:
        return _TURN_SECONDS
    return min(remaining * _WAITING_SHARE, _TURN_SECONDS)
