"""What comes in on the streams of a connection: bodies, window updates, and what ends them."""

from collections.abc import Callable
from typing import Final

from notecast_wire.fairness.clients import ClientId, Peer
from notecast_wire.fairness.shares import ShareRatios, Shares
from notecast_wire.http2.abuse_limits import Budget, Floods
from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.closed_streams import ClosedStreams
from notecast_wire.http2.codes import MAX_STREAM_ID, ErrorCode, Flag, error_code
from notecast_wire.http2.errors import H2ConnectionError, H2StreamError
from notecast_wire.http2.events import DataReceived, Event, StreamEnded
from notecast_wire.http2.frames import rst_stream_frame, unpadded, window_update_frame
from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.http2.outgoing import Outgoing
from notecast_wire.http2.settings import DEFAULT_WINDOW_BYTES, MAX_WINDOW_BYTES
from notecast_wire.http2.stream import ANSWERED, FORGOTTEN, PEER_ENDED, Stream

_END_STREAM: Final = Flag.END_STREAM
_PADDED: Final = Flag.PADDED
_SOMEBODY: Final = Peer(ClientId("", ""))
_AWAITING_PER_NOOP_FRAME: Final = 8
"""Waking this many owners costs as much as a no-op frame."""
_MOST_OF_A_NEIGHBOUR: Final = 64
"""A connection that has spent so little is none of those that emptied its address's budget."""


class Incoming(Outgoing):
    """The receiving half of a connection, as far as streams go that are open or were.

    Handlers raise H2ConnectionError and H2StreamError; the connection turns them into frames.

    Attributes:
        peer: who is at the other end, and so whose the streams are.
        patience: by how much bounds are wider that end the connection: 1, or more for a proxy.
    """

    __slots__ = (
        "_budgets",
        "_clock",
        "_floods",
        "_initial_receive_window",
        "_last_taken",
        "_limits",
        "_receive_credit",
        "_receive_window",
        "_received_bytes",
        "_unread_replies",
        "patience",
        "peer",
    )

    def __init__(
        self,
        limits: ConnectionLimits,
        on_output: Callable[[], None],
        clock: Callable[[], float],
        budgets: ClientBudgets | None = None,
    ) -> None:
        super().__init__(on_output, ClosedStreams(limits.closed_streams_remembered))
        self._budgets = budgets or ClientBudgets(limits, ShareRatios(), clock)
        self.peer = _SOMEBODY
        self.patience = 1
        self._limits = limits
        self._clock = clock
        self._floods = Floods(limits, clock())
        self._receive_window = DEFAULT_WINDOW_BYTES
        self._receive_credit = 0
        self._received_bytes = 0
        self._initial_receive_window = DEFAULT_WINDOW_BYTES
        self._last_taken = MAX_STREAM_ID  # as GOAWAY has it: streams above are ignored
        self._unread_replies = 0

    def serve(self, peer: Peer) -> None:
        """Learns who is at the other end, before anything has come from there."""
        self.peer = peer
        if peer.proxied:
            limits = self._limits
            ratios = self._budgets.ratios
            self._shares = Shares(
                "open streams", limits.max_concurrent_streams, ratios, limits.undivided_streams
            )
            self.patience = limits.proxy_factor

    def consumed(self, stream: Stream, size: int) -> None:
        """Gives the peer back what the owner is done with; the connection's part it has already.

        Args:
            stream: the request's, open or not.
            size: flow-controlled bytes, as DataReceived gave them.
        """
        if stream.state & (PEER_ENDED | FORGOTTEN):
            return
        stream.credit += size
        if stream.credit * 2 >= self._limits.stream_window_bytes:
            stream.receive_window += stream.credit
            self._emit(window_update_frame(stream.id, stream.credit))
            stream.credit = 0

    def _on_data(self, flags: int, stream_id: int, payload: bytes, events: list[Event]) -> None:
        size = len(payload)
        self._count_received(size)
        data = unpadded(payload) if flags & _PADDED else payload
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_closed(stream_id, ended=bool(flags & _END_STREAM))
            return
        if stream.state & PEER_ENDED:
            raise H2StreamError(stream_id, ErrorCode.STREAM_CLOSED, "DATA after END_STREAM")
        if size > max(stream.receive_window, 0):  # an empty one always fits (RFC 9113, 6.9.1)
            raise H2StreamError(
                stream_id, ErrorCode.FLOW_CONTROL_ERROR, "stream flow-control window exceeded"
            )
        stream.receive_window -= size
        ended = bool(flags & _END_STREAM)
        if stream.content_left >= 0:
            _count_content(stream, len(data), ended=ended)
        if ended:
            stream.state |= PEER_ENDED
        elif not data:
            self._charge_noop_frame(stream)
        events.append(DataReceived(stream, data, size, ended))

    def _count_received(self, size: int) -> None:
        """Counts DATA of any stream, open or not, against the connection's window."""
        if size > self._receive_window:
            raise H2ConnectionError(
                ErrorCode.FLOW_CONTROL_ERROR, "connection flow-control window exceeded"
            )
        self._receive_window -= size
        self._received_bytes += size
        self._receive_credit += size
        if self._receive_credit * 2 >= self._limits.connection_window_bytes:
            self._receive_window += self._receive_credit
            self._reply(window_update_frame(0, self._receive_credit))
            self._receive_credit = 0

    def _on_closed(self, stream_id: int, *, ended: bool) -> None:
        """Judges DATA of a stream that is not open."""
        self._check_not_idle(stream_id)
        if stream_id <= self._last_taken and not self._closed.was_reset(stream_id):
            raise H2StreamError(stream_id, ErrorCode.STREAM_CLOSED, "DATA on a closed stream")
        self._charge_late(stream_id)
        if ended:
            self._closed.peer_knows(stream_id)

    def _check_not_idle(self, stream_id: int) -> None:
        """Streams that were not opened are even, which only we could open, or too high."""
        if stream_id > self._closed.newest or not stream_id & 1:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "frame on an idle stream")

    def _on_rst_stream(
        self, _flags: int, stream_id: int, payload: bytes, events: list[Event]
    ) -> None:
        if len(payload) != 4:
            raise H2ConnectionError(
                ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM payload is not 4 octets"
            )
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_not_idle(stream_id)
            self._charge_late(stream_id)
            self._closed.peer_knows(stream_id)
            return
        self._forget(stream)
        events.append(StreamEnded(stream, error_code(int.from_bytes(payload)), by_peer=True))
        if not stream.state & ANSWERED:
            self._charge(stream.client, self._floods.resets)

    def _on_window_update(
        self, _flags: int, stream_id: int, payload: bytes, events: list[Event]
    ) -> None:
        if len(payload) != 4:
            raise H2ConnectionError(
                ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE payload is not 4 octets"
            )
        increment = int.from_bytes(payload) & MAX_WINDOW_BYTES
        if stream_id == 0:
            self._widen_connection(increment, events)
            return
        self._spend(self._floods.noop_frames)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._check_not_idle(stream_id)
            return
        if increment == 0:
            raise H2StreamError(
                stream_id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE with an increment of 0"
            )
        if stream.send_window + increment > MAX_WINDOW_BYTES:
            raise H2StreamError(
                stream_id, ErrorCode.FLOW_CONTROL_ERROR, "flow-control window above 2^31-1"
            )
        stream.send_window += increment
        self._stream_window_grew(stream, events)

    def _widen_connection(self, increment: int, events: list[Event]) -> None:
        if increment == 0:
            raise H2ConnectionError(
                ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE with an increment of 0"
            )
        if self.send_window + increment > MAX_WINDOW_BYTES:
            raise H2ConnectionError(
                ErrorCode.FLOW_CONTROL_ERROR, "flow-control window above 2^31-1"
            )
        self.send_window += increment
        self._granted_bytes += increment
        self._spend(self._floods.noop_frames, 1 + len(self._awaiting) // _AWAITING_PER_NOOP_FRAME)
        self._connection_opened(events)

    def _end_faulty(self, fault: H2StreamError, events: list[Event]) -> None:
        """Resets a stream for what the peer sent on it, whether it is open or not."""
        stream = self.streams.get(fault.stream_id)
        client = fault.client or self._closed.client_of(fault.stream_id)
        if stream is not None:
            client = stream.client
        if not self.peer.proxied or fault.code != ErrorCode.REFUSED_STREAM:
            self._charge(client, self._floods.resets)
        self._reply(rst_stream_frame(fault.stream_id, fault.code))
        self._closed.add_reset(fault.stream_id, client)
        if stream is not None:
            self._forget(stream)
            events.append(StreamEnded(stream, fault.code, by_peer=False))

    def _reply(self, data: bytes) -> None:
        """Sends what the peer has provoked; only so much of it while it does not read."""
        if self.congested:
            self._unread_replies += 1
            if self._unread_replies > self._limits.max_unread_replies * self.patience:
                raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many unread replies")
        self._emit(data)

    @property
    def _sent_bytes(self) -> int:
        """How many bytes of DATA were sent so far."""
        return self._granted_bytes - self.send_window

    def _charge(self, client: ClientId | None, budget: Budget, cost: int = 1) -> None:
        """Charges what a request does wrong: to its client behind a proxy, else to the peer."""
        if self.peer.proxied and client is not None:
            self._budgets.charge(client, cost)
        else:
            self._spend(budget, cost)

    def _charge_work(self, client: ClientId | None, cost: float) -> str:
        """Charges what takes much of our time: to its client, whatever connection it comes on.

        Args:
            client: whose it is; None: it is charged to the connection.
            cost: in calls that are given up.

        Returns:
            Why a request of a direct client is to be refused, if it is: others at its address
            have spent what the address had. Empty behind a proxy, where each request is judged.

        Raises:
            H2ConnectionError: ENHANCE_YOUR_CALM; a direct client's connection has spent what it
                had, or some of it and its address all.
        """
        if client is None:
            self._spend(self._floods.resets, int(cost))
            return ""
        self._budgets.charge(client, cost)
        if self.peer.proxied:
            return ""
        reason = self._budgets.refusal(client)
        if reason and self._budgets.spent(client) > _MOST_OF_A_NEIGHBOUR:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, reason)
        return reason

    def _charge_noop_frame(self, stream: Stream) -> None:
        """Charges a frame of a request that moves nothing.

        Raises:
            H2StreamError: of a client behind a proxy whose budget was empty before.
        """
        if not self.peer.proxied:
            self._spend(self._floods.noop_frames)
        elif not self._budgets.charge(stream.client, self._budgets.noop_frame_cost):
            raise H2StreamError(stream.id, ErrorCode.ENHANCE_YOUR_CALM, "no-op frames")

    def _charge_late(self, stream_id: int) -> None:
        """Charges a frame of a stream that is not open any more."""
        client = self._closed.client_of(stream_id) if self.peer.proxied else None
        if client is None:
            self._spend(self._floods.noop_frames)
        else:
            self._budgets.charge(client, self._budgets.noop_frame_cost)

    def _spend(self, budget: Budget, cost: int = 1) -> None:
        budget.left -= cost
        if budget.left < 0:
            useful_bytes = self._sent_bytes + self._received_bytes
            budget.refill(self._clock(), useful_bytes, self._finished_calls)


def _count_content(stream: Stream, size: int, *, ended: bool) -> None:
    """Compares a body with its announced length (RFC 9113, 8.1.1)."""
    if size > stream.content_left or (ended and size < stream.content_left):
        raise H2StreamError(
            stream.id, ErrorCode.PROTOCOL_ERROR, "content does not match content-length"
        )
    stream.content_left -= size
