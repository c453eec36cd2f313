"""Serves one stream on `grpc.aio`, from the request to its end."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from grpc import aio

from chat_gateway.deadlines import time_left
from chat_gateway.heads import Heads
from chat_gateway.hub import Hub
from chat_gateway.outlet_grpcio import GrpcioOutlet
from chat_gateway.streams import Streams
from chat_gateway.subscription import Subscription
from notecast.v1.chat_pb2 import RoomSubscription
from notecast_runtime.errors import NotecastError
from notecast_runtime.status import abort

Context = aio.ServicerContext[Any, Any]
Messages = Callable[[bytes], Iterable[object]]
"""Makes what a client is sent of a serialised SubscribeResponse."""


class Relay:
    """What every service that streams notes shares.

    Args:
        hub: where rooms are joined.
        heads: says where rooms stand.
        streams: where the stream has its place.
        join_timeout_seconds: bound on joining the rooms of a stream.
    """

    def __init__(
        self, hub: Hub, heads: Heads, streams: Streams, join_timeout_seconds: float
    ) -> None:
        self._hub = hub
        self._heads = heads
        self._streams = streams
        self._join_timeout_seconds = join_timeout_seconds

    async def run(
        self, wanted: Sequence[RoomSubscription], context: Context, messages: Messages
    ) -> None:
        """Delivers until the client ends the call; the headers go out once all is joined.

        Args:
            wanted: the rooms, validated.
            context: the call.
            messages: what the client's service sends of a run of frames.

        Raises:
            NotecastError: there was no place, or the rooms could not be joined.
        """
        with self._streams.place():
            error = await self._deliver(wanted, context, messages)
            # Behind what the client does not read the status waits too, in gRPC; only the
            # rooms and what was fetched for it are let go of at once. So the place is taken
            # until then, or a client could hold on to more streams than there may be.
            with suppress(aio.InternalError):  # the client has left instead
                await abort(context, error)

    async def _deliver(
        self, wanted: Sequence[RoomSubscription], context: Context, messages: Messages
    ) -> NotecastError:
        outlet = GrpcioOutlet()
        subscription = Subscription(self._hub, self._heads, outlet)
        with self._streams.watched(subscription):
            try:
                await subscription.open(wanted, time_left(context, self._join_timeout_seconds))
                await context.send_initial_metadata(())
                return await outlet.run(context.write, messages)
            finally:
                subscription.close()
