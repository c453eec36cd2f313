"""Header blocks into requests and their ends, and which requests are refused."""

from typing import Final

from notecast_wire.fairness.clients import ClientId, Peer
from notecast_wire.http2.abuse_limits import SOMEBODY, AbuseLimits
from notecast_wire.http2.closed_streams import ClosedStreams
from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.errors import H2ConnectionError, H2StreamError
from notecast_wire.http2.events import Event, RequestBegun, RequestEnded
from notecast_wire.http2.frames import rst_stream_frame
from notecast_wire.http2.header_decoder import HeaderDecoder
from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.http2.refusals import HEADERS_TOO_LARGE, TOO_MANY_REQUESTS, Refusal, Refuse
from notecast_wire.http2.request_rules import check_request, check_trailers
from notecast_wire.http2.sender import Sender
from notecast_wire.http2.settings import DEFAULT_WINDOW_BYTES
from notecast_wire.http2.stream import PEER_ENDED, Stream

_LARGE_BLOCK_OCTETS: Final = 1_024
"""Honest blocks are smaller, or come seldom. To decode one that is not costs as much as a call or
several, so each such part of it costs as much as a call that is given up."""
_OCTETS_PER_RESET: Final = 256
"""So much of a block that is decoded in vain, for the table's sake, costs as much as a reset call:
each of its octets may be a field."""
_MAX_SAID_BYTES: Final = 64
"""So much of a field's name is told to whoever has sent it."""

_HeaderList = list[tuple[bytes, bytes]]


class Requests:
    """Opens streams for requests, or refuses them, and takes their trailers.

    What a client behind a proxy does wrong costs that client, and its requests alone are refused.

    Args:
        limits: what the peer may do.
        sender: has the open streams, and sends refusals.
        closed: the streams that are not open.
        abuse: is charged for what is wrong, or much work.
        refuse: makes the answer to a request that is refused by its headers alone.

    Attributes:
        peer: who is at the other end, and so whose the requests are.
        initial_receive_window: how many bytes the peer may send on a new stream.
    """

    __slots__ = (
        "_abuse",
        "_closed",
        "_decoder",
        "_limits",
        "_refuse_with",
        "_sender",
        "_streams",
        "initial_receive_window",
        "peer",
    )

    def __init__(
        self,
        limits: ConnectionLimits,
        sender: Sender,
        closed: ClosedStreams,
        abuse: AbuseLimits,
        refuse: Refuse,
    ) -> None:
        self.peer: Peer = SOMEBODY
        self.initial_receive_window = DEFAULT_WINDOW_BYTES
        self._limits = limits
        self._sender = sender
        self._streams = sender.streams
        self._closed = closed
        self._abuse = abuse
        self._refuse_with = refuse
        self._decoder = HeaderDecoder(limits.max_header_list_bytes)

    def take(
        self, stream_id: int, block: bytes, events: list[Event], *, ended: bool, fault: str = ""
    ) -> None:
        """Takes a whole header block.

        Args:
            stream_id: the stream.
            block: all fragments, joined. It is decoded in any case, for the table's sake.
            events: get what comes of it.
            ended: HEADERS has END_STREAM.
            fault: what is wrong with the frame itself, found before its block was whole.

        Raises:
            H2ConnectionError: the stream or the block can't be, or the peer has spent its budget.
            H2StreamError: the request or its trailers are malformed, or there is no room for it.
        """
        headers = self._decoder.decode(block)
        stream = self._streams.get(stream_id)
        refusal = ""
        if headers is None:
            client = self._author(stream_id, stream, headers)
            self._abuse.charge(client, len(block) // _OCTETS_PER_RESET)
        elif len(block) > _LARGE_BLOCK_OCTETS:
            # Clients of gRPC send no trailers at all.
            per_reset = _LARGE_BLOCK_OCTETS if stream is None else _OCTETS_PER_RESET
            client = self._author(stream_id, stream, headers)
            refusal = self._abuse.charge_work(client, len(block) / per_reset)
        if stream is not None:
            _take_trailers(stream, headers, events, ended=ended)
        elif self._is_new(stream_id):
            if fault:
                raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, fault)
            if refusal and headers is not None:
                self._refuse(stream_id, self.peer.own, headers, refusal, ended=ended)
            else:
                self._begin(stream_id, headers, events, ended=ended)
        elif ended:
            self._closed.peer_knows(stream_id)

    def _author(
        self, stream_id: int, stream: Stream | None, headers: _HeaderList | None
    ) -> ClientId | None:
        """Whose block it is; None where nobody knows any more.

        A new request is of the client that its headers name. Trailers name nobody: a proxy passes
        them on as its client has written them.
        """
        if stream is not None:
            return stream.client
        if stream_id <= self._closed.newest:
            return self._closed.client_of(stream_id)
        return self._oversized_client() if headers is None else self.peer.client_of(headers)

    def _is_new(self, stream_id: int) -> bool:
        """Whether HEADERS of a stream that is not open begin a request; else they are ignored."""
        closed = self._closed
        newest = closed.newest
        if stream_id > newest and stream_id & 1:
            if stream_id != newest + 2 and stream_id != 1:
                closed.left_out(stream_id)
            closed.newest = stream_id
            if stream_id > closed.last_taken:
                # GOAWAY has said so; a peer that has not seen it yet may try elsewhere.
                raise H2StreamError(
                    stream_id,
                    ErrorCode.REFUSED_STREAM,
                    "stream identifier above the last of GOAWAY",
                )
            return True
        if not stream_id & 1 or closed.never_was(stream_id):
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "stream identifier out of order")
        if closed.has_ended(stream_id):
            raise H2ConnectionError(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
        self._abuse.charge_late(closed.client_of(stream_id))
        return False

    def _begin(
        self, stream_id: int, headers: _HeaderList | None, events: list[Event], *, ended: bool
    ) -> None:
        if len(self._streams) >= self._limits.max_concurrent_streams:
            raise H2StreamError(stream_id, ErrorCode.REFUSED_STREAM, "too many concurrent streams")
        if headers is None:
            self._refuse_large(stream_id, ended=ended)
        elif self.peer.proxied:
            self._begin_forwarded(stream_id, headers, events, ended=ended)
        else:
            self._open_stream(stream_id, self.peer.own, headers, events, ended=ended)

    def _begin_forwarded(
        self, stream_id: int, headers: _HeaderList, events: list[Event], *, ended: bool
    ) -> None:
        """Takes a request that a proxy passes on, unless its client is over one of its bounds."""
        client = self.peer.client_of(headers)
        if reason := self._abuse.over_budget(client):
            self._refuse(stream_id, client, headers, reason, ended=ended)
            return
        shares = self._sender.shares
        assert shares is not None  # noqa: S101 - a proxy's connection has them
        if over := shares.take(client):
            self._refuse(stream_id, client, headers, str(over), ended=ended)
            return
        try:
            self._open_stream(stream_id, client, headers, events, ended=ended)
        except H2StreamError as fault:
            shares.give_back(client)
            fault.client = client
            raise

    def _open_stream(
        self,
        stream_id: int,
        client: ClientId,
        headers: _HeaderList,
        events: list[Event],
        *,
        ended: bool,
    ) -> None:
        length = check_request(stream_id, headers)
        send_window = self._sender.initial_send_window
        stream = Stream(stream_id, send_window, self.initial_receive_window, length, client)
        if ended:
            if length > 0:
                raise H2StreamError(
                    stream_id, ErrorCode.PROTOCOL_ERROR, "END_STREAM before the content"
                )
            stream.state = PEER_ENDED
        self._streams[stream_id] = stream
        events.append(RequestBegun(stream, headers, ended))

    def _oversized_client(self) -> ClientId:
        """Whose header list it was that is over the bound."""
        oversized = self._decoder.oversized
        return self.peer.client_of(oversized.kept if oversized else [])

    def _refuse_large(self, stream_id: int, *, ended: bool) -> None:
        """Refuses a request for a header list over the bound, and says what is too large."""
        client = self._oversized_client()
        self._abuse.charge(client)
        oversized = self._decoder.oversized
        assert oversized is not None  # noqa: S101 - it has just been too large
        largest = oversized.largest[:_MAX_SAID_BYTES].decode("ascii", "replace")
        reason = (
            f"request metadata of {oversized.size} bytes exceeds"
            f" {self._limits.max_header_list_bytes} (32 added for each field; the largest is"
            f" {largest})"
        )
        content_type = [(b"content-type", oversized.content_type)]
        self._answer_refused(
            stream_id, client, _refusal(HEADERS_TOO_LARGE, content_type, reason), ended=ended
        )

    def _refuse(
        self, stream_id: int, client: ClientId, headers: _HeaderList, reason: str, *, ended: bool
    ) -> None:
        """Refuses a request of a client that is over one of its bounds.

        With a status rather than REFUSED_STREAM: after that one proxies repeat the request.
        """
        self._answer_refused(
            stream_id, client, _refusal(TOO_MANY_REQUESTS, headers, reason), ended=ended
        )

    def _answer_refused(
        self, stream_id: int, client: ClientId, refusal: Refusal, *, ended: bool
    ) -> None:
        self._sender.reply_headers(stream_id, self._refuse_with(refusal))
        if not ended:
            self._sender.reply(rst_stream_frame(stream_id, ErrorCode.NO_ERROR))
        if not ended or self.peer.proxied:  # it may be given up before the answer is there
            self._closed.add_reset(stream_id, client)


def _take_trailers(
    stream: Stream, headers: _HeaderList | None, events: list[Event], *, ended: bool
) -> None:
    if stream.state & PEER_ENDED:
        raise H2StreamError(stream.id, ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM")
    if not ended:
        raise H2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM")
    if headers is None:
        raise H2StreamError(stream.id, ErrorCode.ENHANCE_YOUR_CALM, "trailers too large")
    check_trailers(stream.id, headers)
    if stream.content_left > 0:
        raise H2StreamError(
            stream.id, ErrorCode.PROTOCOL_ERROR, "content shorter than content-length"
        )
    stream.state |= PEER_ENDED
    events.append(RequestEnded(stream))


def _refusal(status: bytes, headers: _HeaderList, reason: str) -> Refusal:
    return Refusal(status, dict(headers).get(b"content-type", b""), reason)
