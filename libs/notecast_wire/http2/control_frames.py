"""The frames that concern a connection as a whole."""

from collections.abc import Callable
from typing import Final

from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.codes import (
    MAX_STREAM_ID,
    ErrorCode,
    Flag,
    FrameType,
    SettingId,
    error_code,
)
from notecast_wire.http2.errors import H2ConnectionError, H2StreamError
from notecast_wire.http2.events import Event, PeerLeaving, PingReceived, Pong
from notecast_wire.http2.frames import SETTINGS_ACK, goaway_frame, ping_frame
from notecast_wire.http2.header_frames import HeaderFrames
from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.http2.refusals import Refuse, refuse_plainly
from notecast_wire.http2.settings import DEFAULT_WINDOW_BYTES, MAX_WINDOW_BYTES, parse_settings

_ACK: Final = Flag.ACK
_MAX_KEPT_PINGS: Final = 16


class ControlFrames(HeaderFrames):
    """The part of a connection that takes SETTINGS, PING, GOAWAY and PRIORITY, and sends them."""

    __slots__ = (
        "_kept_pings",
        "_next_pong",
        "_next_pong_bytes",
        "_pings",
        "_settings_taken",
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
        self._settings_taken = False
        self._pings = 0
        self._kept_pings: list[bytes] = []
        self._next_pong = float("-inf")
        self._next_pong_bytes = 0

    def ping(self) -> bytes:
        """Sends a PING; Pong comes with the same 8 bytes."""
        self._pings += 1
        data = self._pings.to_bytes(8)
        self._emit(ping_frame(data))
        return data

    def answer_pings(self) -> float:
        """Answers the PINGs that had to wait, once nothing was put out that they could go with.

        Returns:
            In how many seconds to call this again; 0 where no PING waits.
        """
        if not self._kept_pings:
            return 0.0
        wait = self._latest_pong() - self._clock()
        if wait > 0:
            return wait
        self._answer_kept()
        return 0.0

    def answer_pings_along(self) -> None:
        """Answers the PINGs that have waited for long enough; something is about to be written."""
        if self._kept_pings and self._may_answer(self._clock()):
            self._answer_kept()

    def goaway(
        self,
        code: ErrorCode = ErrorCode.NO_ERROR,
        last_stream_id: int | None = None,
        debug: bytes = b"",
    ) -> None:
        """Asks the peer to leave: streams above the last one are refused, the others go on.

        To lose no request that is under way, say 2**31-1 first, send a PING, and once that is
        answered say it again without a number (RFC 9113, 6.8).

        Args:
            code: why.
            last_stream_id: the highest that is or will be served; None for the newest so far.
            debug: for people, and for gRPC clients, which look for `too_many_pings` in it.
        """
        last = self._newest_taken() if last_stream_id is None else last_stream_id
        self._last_taken = min(self._last_taken, last)
        self._emit(goaway_frame(self._last_taken, code, debug))

    @property
    def established(self) -> bool:
        """Whether the peer's preface and SETTINGS have come."""
        return self._only != FrameType.SETTINGS

    def _newest_taken(self) -> int:
        return min(self._last_taken, self._closed.newest)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes, events: list[Event]) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream other than 0")
        if flags & _ACK:
            self._settings_acknowledged(payload)
            return
        self._spend(self._floods.settings)
        before = self.initial_send_window
        # Each value replaces the one before it, so that many of one kind cost no more than one.
        values = parse_settings(payload)
        for setting, value in values:
            if setting == SettingId.HEADER_TABLE_SIZE:
                self._peer_table_size(value)
        last = dict(values)
        self.max_frame_bytes = last.get(SettingId.MAX_FRAME_SIZE, self.max_frame_bytes)
        self._change_initial_window(last.get(SettingId.INITIAL_WINDOW_SIZE, before))
        self._reply(SETTINGS_ACK)
        if self.initial_send_window > before:
            for stream in list(self.streams.values()):
                self._stream_window_grew(stream, events)

    def _change_initial_window(self, size: int) -> None:
        """Changes the windows of all streams by as much (RFC 9113, 6.9.2)."""
        growth = size - self.initial_send_window
        if not growth:
            return
        self.initial_send_window = size
        for stream in self.streams.values():
            stream.send_window += growth
            if stream.send_window > MAX_WINDOW_BYTES:
                raise H2ConnectionError(
                    ErrorCode.FLOW_CONTROL_ERROR, "flow-control window above 2^31-1"
                )
            if stream.send_window <= 0:
                self._ready.pop(stream.id, None)

    def _settings_acknowledged(self, payload: bytes) -> None:
        """The peer goes by our settings from here on; before, it had the defaults."""
        if payload:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ACK with a payload")
        if self._settings_taken:
            self._spend(self._floods.settings)
            return
        self._settings_taken = True
        self._initial_receive_window = self._limits.stream_window_bytes
        for stream in self.streams.values():
            stream.receive_window += self._initial_receive_window - DEFAULT_WINDOW_BYTES

    def _on_ping(self, flags: int, stream_id: int, payload: bytes, events: list[Event]) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PING on a stream other than 0")
        if len(payload) != 8:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "PING payload is not 8 octets")
        if flags & _ACK:
            self._spend(self._floods.noop_frames)
            events.append(Pong(payload))
        else:
            self._spend(self._floods.pings)
            events.append(PingReceived(self._answer_or_keep(payload)))

    def _answer_or_keep(self, payload: bytes) -> float:
        """Answers a PING or keeps it for later; returns in how many seconds that is to be."""
        now = self._clock()
        if self._may_answer(now) and not self._kept_pings:
            self._space_pongs(now)
            self._reply(ping_frame(payload, ack=True))
            return 0.0
        self._kept_pings.append(payload)
        if len(self._kept_pings) == 1:
            return self._latest_pong() - now
        if len(self._kept_pings) > _MAX_KEPT_PINGS:
            for kept in self._kept_pings[:-1]:  # with the last one left, the call is due still
                self._reply(ping_frame(kept, ack=True))
            del self._kept_pings[:-1]
        return 0.0

    def _answer_kept(self) -> None:
        kept, self._kept_pings = self._kept_pings, []
        self._space_pongs(self._clock())
        self._emit(b"".join([ping_frame(payload, ack=True) for payload in kept]))

    def _may_answer(self, now: float) -> bool:
        return now >= self._next_pong or self._sent_bytes >= self._next_pong_bytes

    def _space_pongs(self, now: float) -> None:
        self._next_pong = now + self._limits.pong_spacing_seconds
        self._next_pong_bytes = self._sent_bytes + self._limits.pong_spacing_bytes

    def _latest_pong(self) -> float:
        return self._next_pong + self._limits.pong_delay_seconds

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes, events: list[Event]) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream other than 0")
        if len(payload) < 8:
            raise H2ConnectionError(
                ErrorCode.FRAME_SIZE_ERROR, "GOAWAY payload is shorter than 8 octets"
            )
        self._spend(self._floods.noop_frames)
        events.append(PeerLeaving(error_code(int.from_bytes(payload[4:8]))))

    def _on_priority(
        self, _flags: int, stream_id: int, payload: bytes, _events: list[Event]
    ) -> None:
        """Checks the form; what it says is ignored (RFC 9113, 5.3.2)."""
        self._spend(self._floods.noop_frames)
        if stream_id == 0:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            self._fail_stream(
                stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY payload is not 5 octets"
            )
        if int.from_bytes(payload[:4]) & MAX_STREAM_ID == stream_id:  # RFC 7540, 5.3.1
            self._fail_stream(stream_id, ErrorCode.PROTOCOL_ERROR, "stream depends on itself")

    def _fail_stream(self, stream_id: int, code: ErrorCode, reason: str) -> None:
        """A stream's fault, or the connection's where RST_STREAM may not be sent for it."""
        if stream_id in self.streams:
            raise H2StreamError(stream_id, code, reason)
        raise H2ConnectionError(code, reason)

    def _on_push_promise(
        self, _flags: int, _stream_id: int, _payload: bytes, _events: list[Event]
    ) -> None:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _on_unknown(
        self, _flags: int, _stream_id: int, _payload: bytes, _events: list[Event]
    ) -> None:
        self._spend(self._floods.noop_frames)
