"""A client of one Notecast server, or of many behind one address."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from notecast.v1 import chat_pb2, chat_pb2_grpc, event_pb2, note_pb2
from notecast_client.addresses import is_local
from notecast_client.backoff import Backoff
from notecast_client.errors import (
    ClientError,
    NotConnectedError,
    ServerFaultError,
    ServerUnavailableError,
    error_of,
    may_pass,
    retry_advice,
)
from notecast_client.resume import Progress
from notecast_client.subscription import OnLost, Patience, Subscription
from notecast_text.names import composed

if TYPE_CHECKING:
    from notecast.v1.chat_pb2_grpc import ChatServiceAsyncStub

_NEWEST_PAGE = 200
_LEAST_ATTEMPT_SECONDS = 1.0

_OPTIONS = (
    # A dead connection shows within 25 s. Servers allow a ping each 10 s; some leeway, since
    # pings that are only sent 10 s apart may arrive closer together.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # The largest page is 500 notes of 16 KiB, with 16 labels of up to 320 bytes each: 11 MiB.
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    # The channel's own waits are shorter than this client's, which have jitter and follow the
    # server's advice.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

Answer = TypeVar("Answer")


def _start(room: str | chat_pb2.RoomSubscription) -> chat_pb2.RoomSubscription:
    """Makes the subscription to a room; does not change the caller's request."""
    start = chat_pb2.RoomSubscription()
    if isinstance(room, str):
        start.room = composed(room)
    else:
        start.CopyFrom(room)
        start.room = composed(room.room)
    return start


def _ignore(_lost: ClientError | None, _delay: float) -> None:
    pass


class Client:
    """Sends, subscribes and reads back. Use it as `async with Client("localhost:8080") as client:`.

    Every method may raise ServerUnavailableError (NotConnectedError if no server was reached within
    `connect_timeout` of the first call), ServerFaultError, and RequestRefusedError.

    Names of rooms and authors are sent in Unicode's normal form C, the only one that servers
    accept, whatever form the caller's system uses. Events and notes have that form.

    Args:
        target: the server's address, as HOST:PORT or any other target of gRPC.
        connect_timeout: how long the first call waits for a connection, in seconds.
        timeout: the deadline of each call, and of a subscription's first event, in seconds.
        proxy: whether to use the HTTP proxy that the environment names for gRPC (`grpc_proxy`,
            `https_proxy` or `http_proxy`; `no_grpc_proxy` or `no_proxy` names exceptions). Never
            for this machine.
    """

    def __init__(
        self,
        target: str,
        *,
        connect_timeout: float = 3.0,
        timeout: float = 10.0,
        proxy: bool = False,
    ) -> None:
        self._target = target
        self._proxy = proxy and not is_local(target)
        self._connect_timeout = connect_timeout
        self._timeout = timeout
        self._channel: aio.Channel | None = None
        self._was_connected = False

    async def __aenter__(self) -> Self:
        options = (*_OPTIONS, ("grpc.enable_http_proxy", int(self._proxy)))
        self._channel = aio.insecure_channel(self._target, options=options)
        self._chat: ChatServiceAsyncStub = chat_pb2_grpc.ChatServiceStub(self._channel)
        # The type stubs of the health service know no methods.
        self._health: Any = health_pb2_grpc.HealthStub(self._channel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._channel is not None:
            await self._channel.close()

    async def send(
        self,
        room: str,
        author: str,
        text: str,
        *,
        note_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it is the call's deadline
    ) -> chat_pb2.SendNoteResponse:
        """Appends a note to a room's log; returns its cursor, id and time.

        Without an answer it is sent again until the deadline, with the same id, so that the server
        stores it once. After a ServerUnavailableError (other than NotConnectedError) or a
        ServerFaultError the note may have been stored: to send it again later without a second
        note, give the same `note_id`.

        Args:
            room: the room's name, which begins with its first note.
            author: the author's name.
            text: the text.
            note_id: the note's id in its room; None: a random UUID.
            labels: annotations, passed on as they are.
            timeout: the deadline of all attempts, in seconds; None: the client's.
        """
        request = chat_pb2.SendNoteRequest(
            room=composed(room),
            author=composed(author),
            text=text,
            note_id=uuid.uuid4().hex if note_id is None else note_id,
            labels=labels or {},
        )
        limit = self._timeout if timeout is None else timeout
        deadline = asyncio.get_running_loop().time() + limit
        backoff = Backoff()
        while True:
            try:
                return await self._attempt(request, deadline, limit)
            except (ServerUnavailableError, ServerFaultError) as error:
                delay = backoff.next_delay(retry_advice(error))
                remaining = deadline - asyncio.get_running_loop().time()
                if not may_pass(error) or remaining <= delay:
                    raise
            await asyncio.sleep(delay)

    async def _attempt(
        self, request: chat_pb2.SendNoteRequest, deadline: float, limit: float
    ) -> chat_pb2.SendNoteResponse:
        """Sends once; an attempt may only take a part of the time: its server may be dead."""
        remaining = max(0.0, deadline - asyncio.get_running_loop().time())
        share = min(remaining, max(_LEAST_ATTEMPT_SECONDS, limit / 3))
        return await self._call(lambda within: self._chat.SendNote(request, timeout=within), share)

    async def subscribe(
        self,
        *rooms: str | chat_pb2.RoomSubscription,
        patience: float | None = None,
        on_lost: OnLost = _ignore,
    ) -> AsyncGenerator[event_pb2.Event]:
        """Yields the events of rooms, across reconnections, until the generator is closed.

        Each note comes once, in the order of its room. A CaughtUp comes for each room whenever a
        stream, the first or a resumed one, has reached the live log. A Discontinuity comes where
        notes are missing. One without `resumes_at` is made by the client: the server no longer
        knows the cursor to resume from, and the room begins again from its start. Use
        `contextlib.aclosing` to end the stream as soon as the loop is left.

        Args:
            rooms: a name begins with new notes, a RoomSubscription where it says.
            patience: give up after this many seconds without any event; None: never, once the
                first event came. A quiet room counts too, so use it only to catch up.
            on_lost: called for each stream that ended, unless its server had sent it away: with
                the error (None: the server ended it in an orderly way), and the seconds until the
                next attempt.
        """
        await self.connect()
        starts = [_start(room) for room in rooms]
        subscription = Subscription(
            self._chat.Subscribe, Progress(starts), Patience(self._timeout, patience), on_lost
        )
        events = subscription.events()
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    async def list_notes(
        self,
        room: str,
        *,
        page_size: int = 0,
        before: note_pb2.Cursor | None = None,
    ) -> chat_pb2.ListNotesResponse:
        """Reads one page of a room's log, oldest note first.

        Args:
            room: the room's name.
            page_size: the most notes, 0 to 500; 0 means 50.
            before: only notes before this position; None: the newest.
        """
        request = chat_pb2.ListNotesRequest(room=composed(room), page_size=page_size, before=before)
        return await self._call(lambda limit: self._chat.ListNotes(request, timeout=limit))

    async def newest_notes(
        self, room: str, count: int | None = None, before: note_pb2.Cursor | None = None
    ) -> list[note_pb2.Note]:
        """Reads the newest notes of a room page by page; returns them oldest first.

        Args:
            room: the room's name.
            count: the most notes; None: all that retention has kept.
            before: only notes before this position; None: up to the newest.
        """
        pages: list[list[note_pb2.Note]] = []
        missing = count
        while missing is None or missing > 0:
            size = _NEWEST_PAGE if missing is None else min(missing, _NEWEST_PAGE)
            page = await self.list_notes(room, page_size=size, before=before)
            pages.append(list(page.notes))
            if missing is not None:
                missing -= len(page.notes)
            if not page.HasField("next_before"):
                break
            before = page.next_before
        return [note for page_notes in reversed(pages) for note in page_notes]

    async def health(self, service: str = "readiness") -> str:
        """Returns a service's health, such as `SERVING`; raises for an unknown name."""
        request = health_pb2.HealthCheckRequest(service=service)
        answer: health_pb2.HealthCheckResponse = await self._call(
            lambda limit: self._health.Check(request, timeout=limit)
        )
        return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

    async def _call(
        self, call: Callable[[float], Awaitable[Answer]], limit: float | None = None
    ) -> Answer:
        """Makes one unary call under its deadline; translates its errors."""
        await self.connect()
        limit = self._timeout if limit is None else limit
        try:
            return await call(limit)
        except aio.AioRpcError as error:
            raise error_of(error, limit) from None

    async def connect(self) -> None:
        """Waits for the first connection, like every other method; the channel makes later ones.

        Raises:
            NotConnectedError: there was none within `connect_timeout`.
        """
        if self._channel is None:
            raise RuntimeError("the client is used outside of `async with`")
        if self._was_connected:
            return
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._channel.channel_ready()
        except TimeoutError:
            raise NotConnectedError(self._target, self._connect_timeout) from None
        self._was_connected = True
