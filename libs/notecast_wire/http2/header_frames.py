"""Header blocks into requests and their ends."""

from collections.abc import Callable
from typing import Final

from notecast_wire.fairness.clients import ClientId
from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.codes import MAX_STREAM_ID, ErrorCode, Flag, FrameType
from notecast_wire.http2.errors import H2ConnectionError, H2StreamError
from notecast_wire.http2.events import Event, RequestEnded
from notecast_wire.http2.frames import unpadded
from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.http2.refusals import Refuse, refuse_plainly
from notecast_wire.http2.request_rules import check_trailers
from notecast_wire.http2.requests import Requests
from notecast_wire.http2.stream import PEER_ENDED, Stream

_END_STREAM: Final = Flag.END_STREAM
_END_HEADERS: Final = Flag.END_HEADERS
_UNUSUAL: Final = Flag.PADDED | Flag.PRIORITY
_PRIORITY_BYTES: Final = 5
_LARGE_BLOCK_OCTETS: Final = 1_024
"""Honest blocks are smaller, or come seldom. To decode one that is not costs as much as a call or
several, so each such part of it costs as much as a call that is given up."""
_OCTETS_PER_RESET: Final = 256
"""So much of a block that is decoded in vain, for the table's sake, costs as much as a reset call:
each of its octets may be a field."""


class _OpenBlock:
    """A header block of which CONTINUATION frames are missing.

    Args:
        stream_id: the stream.
        fragment: what HEADERS had of it.
        ended: HEADERS has END_STREAM.
        fault: what is wrong with HEADERS itself, or nothing.
    """

    __slots__ = ("ended", "fault", "frames", "octets", "stream_id")

    def __init__(self, stream_id: int, fragment: bytes, fault: str, *, ended: bool) -> None:
        self.stream_id = stream_id
        self.octets = bytearray(fragment)
        self.frames = 0
        self.ended = ended
        self.fault = fault


class HeaderFrames(Requests):
    """The part of a connection that takes HEADERS and CONTINUATION."""

    __slots__ = (
        "_block",
        "_blocks_begun",
        "_only",
    )

    def __init__(
        self,
        limits: ConnectionLimits,
        on_output: Callable[[], None],
        clock: Callable[[], float],
        budgets: ClientBudgets | None = None,
        refuse: Refuse = refuse_plainly,
    ) -> None:
        super().__init__(limits, on_output, clock, budgets, refuse)
        self._block: _OpenBlock | None = None
        self._blocks_begun = 0
        self._only: int | None = FrameType.SETTINGS  # the type that must come next, if one must

    def _on_headers(self, flags: int, stream_id: int, payload: bytes, events: list[Event]) -> None:
        if stream_id == 0:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        fault = ""
        if flags & _UNUSUAL:
            payload, dependency = _bare_fragment(flags, payload)
            if dependency == stream_id:
                fault = "stream depends on itself"  # RFC 7540, 5.3.1
        ended = bool(flags & _END_STREAM)
        if flags & _END_HEADERS:
            self._on_block(stream_id, payload, events, ended=ended, fault=fault)
        else:
            self._block = _OpenBlock(stream_id, payload, fault, ended=ended)
            self._blocks_begun += 1
            self._only = FrameType.CONTINUATION

    def _on_continuation(
        self, flags: int, stream_id: int, payload: bytes, events: list[Event]
    ) -> None:
        block = self._block
        if block is None or block.stream_id != stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "unexpected CONTINUATION")
        block.octets += payload
        block.frames += 1
        limits = self._limits
        patience = self.patience
        most = limits.max_header_list_bytes * limits.max_header_block_factor
        if (
            block.frames > limits.max_continuations * patience
            or len(block.octets) > most * patience
        ):
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "header block too large")
        if flags & _END_HEADERS:
            self._block = None
            octets = bytes(block.octets)
            self._on_block(stream_id, octets, events, ended=block.ended, fault=block.fault)
        else:
            self._only = FrameType.CONTINUATION

    def _on_block(
        self, stream_id: int, block: bytes, events: list[Event], *, ended: bool, fault: str = ""
    ) -> None:
        """Takes a whole header block.

        Args:
            stream_id: the stream.
            block: all fragments, joined. It is decoded in any case, for the table's sake.
            events: get what comes of it.
            ended: HEADERS has END_STREAM.
            fault: what is wrong with the frame itself, found before its block was whole.
        """
        headers = self._decoder.decode(block)
        stream = self.streams.get(stream_id)
        refusal = ""
        if headers is None:
            client = self._sender(stream_id, stream, headers)
            self._charge(client, self._floods.resets, len(block) // _OCTETS_PER_RESET)
        elif len(block) > _LARGE_BLOCK_OCTETS:
            # Clients of gRPC send no trailers at all.
            per_reset = _LARGE_BLOCK_OCTETS if stream is None else _OCTETS_PER_RESET
            client = self._sender(stream_id, stream, headers)
            refusal = self._charge_work(client, len(block) / per_reset)
        if stream is not None:
            self._on_trailers(stream, headers, events, ended=ended)
        elif self._is_new(stream_id):
            if fault:
                raise H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, fault)
            if refusal and headers is not None:
                self._refuse(stream_id, self.peer.own, headers, refusal, ended=ended)
            else:
                self._on_request(stream_id, headers, events, ended=ended)
        elif ended:
            self._closed.peer_knows(stream_id)

    def _sender(
        self, stream_id: int, stream: Stream | None, headers: list[tuple[bytes, bytes]] | None
    ) -> ClientId | None:
        """Who has sent a block; None where nobody knows any more.

        A new request is of whom its headers name. Trailers name nobody: a proxy passes them on as
        its client has written them.
        """
        if stream is not None:
            return stream.client
        if stream_id <= self._closed.newest:
            return self._closed.client_of(stream_id)
        return self._oversized_client() if headers is None else self.peer.client_of(headers)

    def _on_trailers(
        self,
        stream: Stream,
        headers: list[tuple[bytes, bytes]] | None,
        events: list[Event],
        *,
        ended: bool,
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

    def _is_new(self, stream_id: int) -> bool:
        """Whether HEADERS of a stream that is not open begin a request; else they are ignored."""
        closed = self._closed
        newest = closed.newest
        if stream_id > newest and stream_id & 1:
            if stream_id != newest + 2 and stream_id != 1:
                closed.left_out(stream_id)
            closed.newest = stream_id
            if stream_id > self._last_taken:
                # GOAWAY has said so; who has not seen it yet is told that it may try elsewhere.
                raise H2StreamError(
                    stream_id,
                    ErrorCode.REFUSED_STREAM,
                    "stream identifier above the last of GOAWAY",
                )
            return True
        if not stream_id & 1 or closed.never_was(stream_id):
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "stream identifier out of order")
        if stream_id <= self._last_taken and not closed.was_reset(stream_id):
            raise H2ConnectionError(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
        self._charge_late(stream_id)
        return False


def _bare_fragment(flags: int, payload: bytes) -> tuple[bytes, int]:
    """The fragment in HEADERS without padding and priority, and the stream that it depends on."""
    if flags & Flag.PADDED:
        payload = unpadded(payload)
    if not flags & Flag.PRIORITY:
        return payload, 0
    if len(payload) < _PRIORITY_BYTES:
        raise H2ConnectionError(
            ErrorCode.FRAME_SIZE_ERROR, "HEADERS payload too short for its priority"
        )
    return payload[_PRIORITY_BYTES:], int.from_bytes(payload[:4]) & MAX_STREAM_ID
