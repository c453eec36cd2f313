"""Header lists into requests, and which of them are refused."""

from collections.abc import Callable
from typing import Final

from notecast_wire.fairness.clients import ClientId
from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.codes import ErrorCode, Flag
from notecast_wire.http2.errors import H2StreamError
from notecast_wire.http2.events import Event, RequestBegun
from notecast_wire.http2.frames import headers_frames, rst_stream_frame
from notecast_wire.http2.header_decoder import HeaderDecoder
from notecast_wire.http2.incoming import Incoming
from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.http2.refusals import (
    HEADERS_TOO_LARGE,
    TOO_MANY_REQUESTS,
    Refusal,
    Refuse,
    refuse_plainly,
)
from notecast_wire.http2.request_rules import check_request
from notecast_wire.http2.stream import PEER_ENDED, Stream

_END_STREAM: Final = Flag.END_STREAM
_MAX_SAID_BYTES: Final = 64
"""So much of a field's name is told to whoever has sent it."""


class Requests(Incoming):
    """The part of a connection that opens streams for requests, or refuses them.

    What a client behind a proxy does wrong costs that client, and its requests alone are refused.
    """

    __slots__ = (
        "_decoder",
        "_refusal_block",
    )

    def __init__(
        self,
        limits: ConnectionLimits,
        on_output: Callable[[], None],
        clock: Callable[[], float],
        budgets: ClientBudgets | None = None,
        refuse: Refuse = refuse_plainly,
    ) -> None:
        super().__init__(limits, on_output, clock, budgets)
        self._decoder = HeaderDecoder(limits.max_header_list_bytes)
        self._refusal_block = refuse

    def _on_request(
        self,
        stream_id: int,
        headers: list[tuple[bytes, bytes]] | None,
        events: list[Event],
        *,
        ended: bool,
    ) -> None:
        if len(self.streams) >= self._limits.max_concurrent_streams:
            raise H2StreamError(stream_id, ErrorCode.REFUSED_STREAM, "too many concurrent streams")
        if headers is None:
            self._refuse_large(stream_id, ended=ended)
            return
        if self.peer.proxied:
            self._on_forwarded_request(stream_id, headers, events, ended=ended)
        else:
            self._open_stream(stream_id, self.peer.own, headers, events, ended=ended)

    def _on_forwarded_request(
        self,
        stream_id: int,
        headers: list[tuple[bytes, bytes]],
        events: list[Event],
        *,
        ended: bool,
    ) -> None:
        """Takes a request that a proxy passes on, unless its client is over one of its bounds."""
        client = self.peer.client_of(headers)
        if self._budgets.any_over and (reason := self._over_budget(client)):
            self._refuse(stream_id, client, headers, reason, ended=ended)
            return
        assert self._shares is not None  # noqa: S101 - a proxy's connection has them
        if over := self._shares.take(client):
            self._refuse(stream_id, client, headers, str(over), ended=ended)
            return
        try:
            self._open_stream(stream_id, client, headers, events, ended=ended)
        except H2StreamError as fault:
            self._shares.give_back(client)
            fault.client = client
            raise

    def _open_stream(
        self,
        stream_id: int,
        client: ClientId,
        headers: list[tuple[bytes, bytes]],
        events: list[Event],
        *,
        ended: bool,
    ) -> None:
        length = check_request(stream_id, headers)
        stream = Stream(
            stream_id, self.initial_send_window, self._initial_receive_window, length, client
        )
        if ended:
            if length > 0:
                raise H2StreamError(
                    stream_id, ErrorCode.PROTOCOL_ERROR, "END_STREAM before the content"
                )
            stream.state = PEER_ENDED
        self.streams[stream_id] = stream
        events.append(RequestBegun(stream, headers, ended))

    def _over_budget(self, client: ClientId) -> str:
        """Why a client's requests are refused, if they are; the proxy's own never: they probe."""
        return "" if client == self.peer.own else self._budgets.refusal(client)

    def _oversized_client(self) -> ClientId:
        """Whose header list it was that is over the bound."""
        oversized = self._decoder.oversized
        return self.peer.client_of(oversized.kept if oversized else [])

    def _refuse_large(self, stream_id: int, *, ended: bool) -> None:
        """Refuses a request for a header list over the bound, and says what is too large."""
        client = self._oversized_client()
        self._charge(client, self._floods.resets)
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
        self,
        stream_id: int,
        client: ClientId,
        headers: list[tuple[bytes, bytes]],
        reason: str,
        *,
        ended: bool,
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
        block = self._before_block + self._refusal_block(refusal)
        self._before_block = b""
        self._reply(headers_frames(stream_id, block, _END_STREAM, self.max_frame_bytes))
        if not ended:
            self._reply(rst_stream_frame(stream_id, ErrorCode.NO_ERROR))
        if not ended or self.peer.proxied:  # it may be given up before the answer is there
            self._closed.add_reset(stream_id, client)


def _refusal(status: bytes, headers: list[tuple[bytes, bytes]], reason: str) -> Refusal:
    return Refusal(status, dict(headers).get(b"content-type", b""), reason)
