"""notecast.v1.HistoryService."""

from contextlib import aclosing

from grpc import aio

from history.paging import Pager
from history.replay import Replayer
from history.validation import check_list_notes, check_replay
from notecast.v1 import history_pb2, history_pb2_grpc

SERVICE = history_pb2.DESCRIPTOR.services_by_name["HistoryService"].full_name


class HistoryServicer(history_pb2_grpc.HistoryServiceServicer):
    """Answers gateways. Errors are raised as NotecastError, for the server to translate.

    Args:
        replayer: reads forwards.
        pager: reads backwards.
    """

    def __init__(self, replayer: Replayer, pager: Pager) -> None:
        self._replayer = replayer
        self._pager = pager

    async def Replay(  # type: ignore[override] # it writes where the stub would yield
        self,
        request: history_pb2.ReplayRequest,
        context: aio.ServicerContext[history_pb2.ReplayRequest, history_pb2.ReplayResponse],
    ) -> None:
        """Streams a stretch of a room's log in order."""
        check_replay(request)
        responses = self._replayer.replay(request.room, request.after, request.through)
        async with aclosing(responses):
            async for response in responses:
                await context.write(response)

    async def ListNotes(
        self,
        request: history_pb2.HistoryServiceListNotesRequest,
        context: aio.ServicerContext[  # noqa: ARG002 - the interface's
            history_pb2.HistoryServiceListNotesRequest,
            history_pb2.HistoryServiceListNotesResponse,
        ],
    ) -> history_pb2.HistoryServiceListNotesResponse:
        """Reads a page of a room's log, counted backwards."""
        check_list_notes(request)
        page = await self._pager.page(request.room, request.before, request.page_size)
        return history_pb2.HistoryServiceListNotesResponse(
            notes=page.notes, has_older=page.has_older
        )
