"""Serves one stream, from its request until it flows by itself."""

from collections.abc import Sequence
from typing import Final

from chat_gateway.api.deadlines import Patience
from chat_gateway.log.ring import Encoding
from chat_gateway.rooms.hub import Hub
from chat_gateway.streams.joining import Joined, Joiner
from chat_gateway.streams.streams import Streams
from chat_gateway.streams.subscription import Subscription
from chat_gateway.transport.outlet import Context, Transport
from notecast.v1.chat_pb2 import RoomSubscription
from notecast_runtime.fair_turns import FairTurns
from notecast_wire.fairness.clients import ClientId

_TURN_SECONDS: Final = 10.0
"""Bound on the wait for a turn at joining. All streams of a lost gateway come at once, and a client
that is refused comes again, which costs more than waiting."""


class Relay:
    """The part that all services that stream notes share.

    Args:
        hub: rooms are left there at the end.
        joiner: joins the rooms of a stream.
        streams: counts the stream as open.
        transport: carries it, and tells which client a call comes from.
        join_timeout_seconds: bound on joining the rooms of a stream.
        joins: turns at joining.
    """

    def __init__(
        self,
        hub: Hub,
        joiner: Joiner,
        streams: Streams,
        transport: Transport,
        join_timeout_seconds: float,
        joins: FairTurns,
    ) -> None:
        self._hub = hub
        self._joiner = joiner
        self._streams = streams
        self._transport = transport
        self._join_timeout_seconds = join_timeout_seconds
        self._joins = joins

    async def run(
        self, wanted: Sequence[RoomSubscription], context: Context, encode: Encoding
    ) -> None:
        """Delivers until the client ends the call; sends the headers once all rooms are joined.

        May return before the end: the stream then goes on without a task.

        Args:
            wanted: the rooms, validated.
            context: the call.
            encode: makes the messages of the client's service from a run of frames.

        Raises:
            NotecastError: a bound on streams is reached, or the rooms could not be joined.
        """
        client = self._transport.client_of(context)
        subscription = Subscription(self._hub, self._streams, encode, client)
        self._streams.add(subscription)
        try:
            joined = await self._join(wanted, context, client)
            subscription.begin(joined)
            await self._transport.carry(context, subscription.flow)
        except BaseException:
            subscription.finish()
            raise

    async def _join(
        self, wanted: Sequence[RoomSubscription], context: Context, client: ClientId
    ) -> list[Joined]:
        with Patience(context, _TURN_SECONDS) as seconds:
            await self._joins.take(client, seconds)
        try:
            with Patience(context, self._join_timeout_seconds) as seconds:
                return await self._joiner.join(wanted, client, seconds)
        finally:
            self._joins.give_back(client)
