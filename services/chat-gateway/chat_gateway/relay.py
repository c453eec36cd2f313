"""Serves one stream on `grpc.aio`, from the request to its end."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from grpc import aio

from chat_gateway.heads import Heads
from chat_gateway.hub import Hub
from chat_gateway.outlet_grpcio import GrpcioOutlet
from chat_gateway.subscription import Subscription
from notecast.v1.chat_pb2 import RoomSubscription


class Relay:
    """What every service that streams notes shares.

    Args:
        hub: where rooms are joined.
        heads: says where rooms stand.
        join_timeout_seconds: bound on joining the rooms of a stream.
    """

    def __init__(self, hub: Hub, heads: Heads, join_timeout_seconds: float) -> None:
        self._hub = hub
        self._heads = heads
        self._join_timeout_seconds = join_timeout_seconds

    async def run(
        self,
        wanted: Sequence[RoomSubscription],
        context: aio.ServicerContext[Any, Any],
        send: Callable[[bytes], Awaitable[None]],
    ) -> None:
        """Delivers until the client ends the call; the headers go out once all is joined.

        Args:
            wanted: the rooms, validated.
            context: the call.
            send: writes a serialised SubscribeResponse, with flow control.

        Raises:
            NotecastError: the rooms could not be joined, or the stream was ended.
        """
        outlet = GrpcioOutlet()
        subscription = Subscription(self._hub, self._heads, outlet)
        try:
            await subscription.open(wanted, self._join_timeout_seconds)
            await context.send_initial_metadata(())
            await outlet.run(send)
        finally:
            subscription.close()
