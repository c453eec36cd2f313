"""The server's side of an HTTP/2 connection, without I/O: bytes in, events and bytes out.

`Connection` takes the frames, by a table of handlers, and keeps the rules that concern several
streams or none. What has a role of its own is a part that it holds:

- `Sender` puts frames out, has the open streams and keeps the data that can't be sent yet;
- `Requests` makes requests of header blocks, which `HeaderBlocks` joins where they come in parts;
- `PingAnswers` says when PINGs are answered;
- `AbuseLimits` has budgets for what the peer's frames cost;
- `ClosedStreams` remembers streams that are not open.
"""

import time
from collections.abc import Callable
from typing import Final

from notecast_wire.fairness.clients import Peer
from notecast_wire.fairness.shares import ShareRatios, Shares
from notecast_wire.http2.abuse_limits import SOMEBODY, AbuseLimits
from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.closed_streams import ClosedStreams
from notecast_wire.http2.codes import (
    MAX_STREAM_ID,
    ErrorCode,
    Flag,
    FrameType,
    SettingId,
    error_code,
)
from notecast_wire.http2.errors import H2ConnectionError, H2StreamError
from notecast_wire.http2.events import (
    ConnectionEnded,
    DataReceived,
    Event,
    PeerLeaving,
    PingReceived,
    Pong,
    StreamEnded,
)
from notecast_wire.http2.frames import (
    SETTINGS_ACK,
    FrameReader,
    goaway_frame,
    ping_frame,
    rst_stream_frame,
    settings_frame,
    unpadded,
    window_update_frame,
)
from notecast_wire.http2.header_blocks import HeaderBlock, HeaderBlocks
from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.http2.ping_answers import PingAnswers
from notecast_wire.http2.refusals import Refuse, refuse_plainly
from notecast_wire.http2.requests import Requests
from notecast_wire.http2.sender import Sender
from notecast_wire.http2.settings import (
    DEFAULT_WINDOW_BYTES,
    MAX_WINDOW_BYTES,
    our_settings,
    parse_settings,
)
from notecast_wire.http2.stream import ANSWERED, FORGOTTEN, PEER_ENDED, Stream

__all__ = ["PREFACE", "Connection", "ConnectionLimits"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""A client begins with this (RFC 9113, 3.4)."""

_ACK: Final = Flag.ACK
_END_STREAM: Final = Flag.END_STREAM
_PADDED: Final = Flag.PADDED
_FORM: Final = Flag.END_HEADERS | Flag.PADDED | Flag.PRIORITY
_WHOLE_AND_PLAIN: Final = Flag.END_HEADERS
"""Of the flags in `_FORM`, what nearly all HEADERS have: there is nothing to join or take off."""
_AWAITING_PER_NOOP_FRAME: Final = 8
"""Waking this many owners costs as much as a no-op frame."""


class Connection:
    """The server's side of one HTTP/2 connection (RFC 9113).

    Handlers raise H2ConnectionError and H2StreamError; `receive` turns them into frames.

    Args:
        limits: what the peer may do.
        on_output: called when `sender.output` turns from empty to not empty.
        clock: monotonic seconds.
        budgets: of the clients behind proxies, on all connections; None for this one's own.
        refuse: answers a request that is refused by its headers alone.

    Attributes:
        sender: puts frames out: what the owners of streams send goes to it directly.
        streams: those that are open, by id.
        peer: who is at the other end, and so whose the streams are.
        patience: by how much bounds are wider that end the connection: 1, or more for a proxy.
    """

    __slots__ = (
        "_abuse",
        "_blocks",
        "_clock",
        "_closed",
        "_limits",
        "_only",
        "_over",
        "_ping_answers",
        "_pings",
        "_preface",
        "_reader",
        "_receive_credit",
        "_receive_window",
        "_requests",
        "_settings_taken",
        "patience",
        "peer",
        "sender",
        "streams",
    )

    def __init__(
        self,
        limits: ConnectionLimits,
        on_output: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        budgets: ClientBudgets | None = None,
        refuse: Refuse = refuse_plainly,
    ) -> None:
        budgets = budgets or ClientBudgets(limits, ShareRatios(), clock)
        closed = ClosedStreams(limits.closed_streams_remembered)
        sender = Sender(on_output, closed, limits.max_unread_replies)
        abuse = AbuseLimits(limits, sender, budgets, clock)
        self.sender = sender
        self.streams = sender.streams
        self.peer: Peer = SOMEBODY
        self.patience = 1
        self._limits = limits
        self._clock = clock
        self._closed = closed
        self._abuse = abuse
        self._requests = Requests(limits, sender, closed, abuse, refuse)
        self._blocks = HeaderBlocks(limits)
        self._ping_answers = PingAnswers(limits)
        self._reader = FrameReader()
        self._preface = PREFACE
        self._only: int | None = FrameType.SETTINGS  # the type that must come next, if one must
        self._over = False
        self._settings_taken = False
        self._pings = 0
        self._receive_window = DEFAULT_WINDOW_BYTES
        self._receive_credit = 0

    def serve(self, peer: Peer) -> None:
        """Learns who is at the other end, before anything has come from there."""
        self.peer = self._abuse.peer = self._requests.peer = peer
        if peer.proxied:
            limits = self._limits
            self.sender.shares = Shares(
                "open streams",
                limits.max_concurrent_streams,
                self._abuse.share_ratios,
                limits.undivided_streams,
            )
            self.patience = self._blocks.patience = limits.proxy_factor
            self.sender.max_unread_replies = limits.max_unread_replies * limits.proxy_factor

    def start(self) -> None:
        """Puts out our SETTINGS, and opens the connection's window."""
        self.sender.emit(settings_frame(our_settings(self._limits)))
        increment = self._limits.connection_window_bytes - DEFAULT_WINDOW_BYTES
        if increment > 0:
            self._receive_window += increment
            self.sender.emit(window_update_frame(0, increment))

    def receive(self, data: bytes) -> list[Event]:
        """Takes what came from the socket, split anywhere.

        Never raises for what a peer may send: what is wrong with a stream resets it, what is
        wrong with the connection puts GOAWAY out and gives ConnectionEnded; what comes
        after that is dropped.

        Returns:
            What happened, in order.
        """
        events: list[Event] = []
        if not self._over:
            try:
                self._take(self._after_preface(data) if self._preface else data, events)
            except H2ConnectionError as fault:
                self._over = True
                last = self._closed.newest_taken
                self.sender.emit(goaway_frame(last, fault.code, fault.reason.encode()))
                events.append(ConnectionEnded(fault.code, fault.reason))
        return events

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
            self.sender.emit(window_update_frame(stream.id, stream.credit))
            stream.credit = 0

    def ping(self) -> bytes:
        """Sends a PING; Pong comes with the same 8 bytes."""
        self._pings += 1
        data = self._pings.to_bytes(8)
        self.sender.emit(ping_frame(data))
        return data

    def answer_pings(self) -> float:
        """Answers the PINGs that had to wait, once nothing was put out that they could go with.

        Returns:
            In how many seconds to call this again; 0 where no PING waits.
        """
        answers = self._ping_answers
        if not answers.kept:
            return 0.0
        now = self._clock()
        wait = answers.wait(now)
        if wait > 0:
            return wait
        self._answer_kept(now)
        return 0.0

    def answer_pings_along(self) -> None:
        """Answers the PINGs that have waited for long enough; something is about to be written."""
        answers = self._ping_answers
        if answers.kept:
            now = self._clock()
            if answers.may_answer(now, self.sender.sent_bytes):
                self._answer_kept(now)

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
        closed = self._closed
        last = closed.newest_taken if last_stream_id is None else last_stream_id
        closed.last_taken = min(closed.last_taken, last)
        self.sender.emit(goaway_frame(closed.last_taken, code, debug))

    def pause(self) -> None:
        """The socket takes no more for now: DATA is kept."""
        self.sender.congested = True

    def resume(self) -> list[Event]:
        """The socket takes more: sends what was kept, as far as the windows allow."""
        events: list[Event] = []
        self.sender.resume(events)
        return events

    def close(self) -> list[Event]:
        """The socket is gone, and so are all streams."""
        self._over = True
        events: list[Event] = []
        for stream in list(self.streams.values()):
            self.sender.forget(stream)
            events.append(StreamEnded(stream, ErrorCode.CANCEL, by_peer=True))
        return events

    @property
    def established(self) -> bool:
        """Whether the peer's preface and SETTINGS have come."""
        return self._only != FrameType.SETTINGS

    @property
    def unfinished(self) -> int:
        """A number for the header block or frame of which a part is missing; 0 where none is.

        It stays the same until that is whole, whatever comes of it.
        """
        return -self._blocks.unfinished or self._reader.unfinished

    # Frames to their handlers

    def _take(self, data: bytes, events: list[Event]) -> None:
        for kind, flags, stream_id, payload in self._reader.frames(data):
            if self._only is not None:
                self._check_turn(kind, flags)
            try:
                _HANDLERS[kind](self, flags, stream_id, payload, events)
            except H2StreamError as fault:
                self._end_faulty(fault, events)

    def _check_turn(self, kind: int, flags: int) -> None:
        """SETTINGS comes first, and nothing comes between the parts of a header block."""
        if kind != self._only or (kind == FrameType.SETTINGS and flags & _ACK):
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "unexpected frame type")
        self._only = None

    def _after_preface(self, data: bytes) -> bytes:
        preface = self._preface
        if data[: len(preface)] != preface[: len(data)]:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "invalid connection preface")
        self._preface = preface[len(data) :]
        return data[len(preface) :]

    def _end_faulty(self, fault: H2StreamError, events: list[Event]) -> None:
        """Resets a stream for what the peer sent on it, whether it is open or not."""
        stream = self.streams.get(fault.stream_id)
        client = fault.client or self._closed.client_of(fault.stream_id)
        if stream is not None:
            client = stream.client
        if not self.peer.proxied or fault.code != ErrorCode.REFUSED_STREAM:
            self._abuse.charge(client)
        self.sender.reply(rst_stream_frame(fault.stream_id, fault.code))
        self._closed.add_reset(fault.stream_id, client)
        if stream is not None:
            self.sender.forget(stream)
            events.append(StreamEnded(stream, fault.code, by_peer=False))

    # What comes on streams

    def _on_headers(self, flags: int, stream_id: int, payload: bytes, events: list[Event]) -> None:
        if stream_id == 0:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        if flags & _FORM == _WHOLE_AND_PLAIN:
            self._requests.take(stream_id, payload, events, ended=bool(flags & _END_STREAM))
        else:
            self._take_block(self._blocks.begin(flags, stream_id, payload), events)

    def _on_continuation(
        self, flags: int, stream_id: int, payload: bytes, events: list[Event]
    ) -> None:
        self._take_block(self._blocks.go_on(flags, stream_id, payload), events)

    def _take_block(self, block: HeaderBlock | None, events: list[Event]) -> None:
        if block is None:
            self._only = FrameType.CONTINUATION
        else:
            stream_id, octets, ended, fault = block
            self._requests.take(stream_id, octets, events, ended=ended, fault=fault)

    def _on_data(self, flags: int, stream_id: int, payload: bytes, events: list[Event]) -> None:
        size = len(payload)
        self._count_received(size)
        data = unpadded(payload) if flags & _PADDED else payload
        stream = self.streams.get(stream_id)
        if stream is None:
            self._on_late_data(stream_id, ended=bool(flags & _END_STREAM))
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
            self._abuse.charge_noop_frame(stream)
        events.append(DataReceived(stream, data, size, ended))

    def _count_received(self, size: int) -> None:
        """Counts DATA of any stream, open or not, against the connection's window."""
        if size > self._receive_window:
            raise H2ConnectionError(
                ErrorCode.FLOW_CONTROL_ERROR, "connection flow-control window exceeded"
            )
        self._receive_window -= size
        self._abuse.received_bytes += size
        self._receive_credit += size
        if self._receive_credit * 2 >= self._limits.connection_window_bytes:
            self._receive_window += self._receive_credit
            self.sender.reply(window_update_frame(0, self._receive_credit))
            self._receive_credit = 0

    def _on_late_data(self, stream_id: int, *, ended: bool) -> None:
        """Judges DATA of a stream that is not open."""
        self._check_not_idle(stream_id)
        if self._closed.has_ended(stream_id):
            raise H2StreamError(stream_id, ErrorCode.STREAM_CLOSED, "DATA on a closed stream")
        self._abuse.charge_late(self._closed.client_of(stream_id))
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
            self._abuse.charge_late(self._closed.client_of(stream_id))
            self._closed.peer_knows(stream_id)
            return
        self.sender.forget(stream)
        events.append(StreamEnded(stream, error_code(int.from_bytes(payload)), by_peer=True))
        if not stream.state & ANSWERED:
            self._abuse.charge(stream.client)

    def _on_priority(
        self, _flags: int, stream_id: int, payload: bytes, _events: list[Event]
    ) -> None:
        """Checks the form; what it says is ignored (RFC 9113, 5.3.2)."""
        self._abuse.spend(self._abuse.noop_frames)
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

    def _on_window_update(
        self, _flags: int, stream_id: int, payload: bytes, events: list[Event]
    ) -> None:
        if len(payload) != 4:
            raise H2ConnectionError(
                ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE payload is not 4 octets"
            )
        increment = int.from_bytes(payload) & MAX_WINDOW_BYTES
        if stream_id == 0:
            self._widen(increment, events)
            return
        self._abuse.spend(self._abuse.noop_frames)
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
        self.sender.stream_window_grew(stream, events)

    # What concerns the connection as a whole

    def _widen(self, increment: int, events: list[Event]) -> None:
        sender = self.sender
        if increment == 0:
            raise H2ConnectionError(
                ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE with an increment of 0"
            )
        if sender.send_window + increment > MAX_WINDOW_BYTES:
            raise H2ConnectionError(
                ErrorCode.FLOW_CONTROL_ERROR, "flow-control window above 2^31-1"
            )
        abuse = self._abuse
        abuse.spend(abuse.noop_frames, 1 + sender.awaiting // _AWAITING_PER_NOOP_FRAME)
        sender.widen(increment, events)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes, events: list[Event]) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream other than 0")
        if flags & _ACK:
            self._settings_acknowledged(payload)
            return
        self._abuse.spend(self._abuse.settings)
        sender = self.sender
        before = sender.initial_send_window
        # Each value replaces the one before it, so that many of one kind cost no more than one.
        values = parse_settings(payload)
        for setting, value in values:
            if setting == SettingId.HEADER_TABLE_SIZE:
                sender.limit_table(value)
        last = dict(values)
        sender.max_frame_bytes = last.get(SettingId.MAX_FRAME_SIZE, sender.max_frame_bytes)
        sender.change_initial_window(last.get(SettingId.INITIAL_WINDOW_SIZE, before))
        sender.reply(SETTINGS_ACK)
        if sender.initial_send_window > before:
            sender.stream_windows_grew(events)

    def _settings_acknowledged(self, payload: bytes) -> None:
        """The peer goes by our settings from here on; before, it had the defaults."""
        if payload:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ACK with a payload")
        if self._settings_taken:
            self._abuse.spend(self._abuse.settings)
            return
        self._settings_taken = True
        size = self._requests.initial_receive_window = self._limits.stream_window_bytes
        for stream in self.streams.values():
            stream.receive_window += size - DEFAULT_WINDOW_BYTES

    def _on_ping(self, flags: int, stream_id: int, payload: bytes, events: list[Event]) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PING on a stream other than 0")
        if len(payload) != 8:
            raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "PING payload is not 8 octets")
        if flags & _ACK:
            self._abuse.spend(self._abuse.noop_frames)
            events.append(Pong(payload))
            return
        self._abuse.spend(self._abuse.pings)
        sender = self.sender
        answered, wait = self._ping_answers.receive(payload, self._clock(), sender.sent_bytes)
        for answer in answered:
            sender.reply(ping_frame(answer, ack=True))
        events.append(PingReceived(wait))

    def _answer_kept(self, now: float) -> None:
        sender = self.sender
        kept = self._ping_answers.take(now, sender.sent_bytes)
        sender.emit(b"".join([ping_frame(payload, ack=True) for payload in kept]))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes, events: list[Event]) -> None:
        if stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream other than 0")
        if len(payload) < 8:
            raise H2ConnectionError(
                ErrorCode.FRAME_SIZE_ERROR, "GOAWAY payload is shorter than 8 octets"
            )
        self._abuse.spend(self._abuse.noop_frames)
        events.append(PeerLeaving(error_code(int.from_bytes(payload[4:8]))))

    def _on_push_promise(
        self, _flags: int, _stream_id: int, _payload: bytes, _events: list[Event]
    ) -> None:
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _on_unknown(
        self, _flags: int, _stream_id: int, _payload: bytes, _events: list[Event]
    ) -> None:
        self._abuse.spend(self._abuse.noop_frames)

    @classmethod
    def _handlers(cls) -> "tuple[_Handler, ...]":
        known: dict[int, _Handler] = {
            FrameType.DATA: cls._on_data,
            FrameType.HEADERS: cls._on_headers,
            FrameType.PRIORITY: cls._on_priority,
            FrameType.RST_STREAM: cls._on_rst_stream,
            FrameType.SETTINGS: cls._on_settings,
            FrameType.PUSH_PROMISE: cls._on_push_promise,
            FrameType.PING: cls._on_ping,
            FrameType.GOAWAY: cls._on_goaway,
            FrameType.WINDOW_UPDATE: cls._on_window_update,
            FrameType.CONTINUATION: cls._on_continuation,
        }
        return tuple(known.get(kind, cls._on_unknown) for kind in range(256))


_Handler = Callable[[Connection, int, int, bytes, list[Event]], None]
_HANDLERS: Final = Connection._handlers()  # noqa: SLF001 - its own, made once the class is there


def _count_content(stream: Stream, size: int, *, ended: bool) -> None:
    """Compares the content with its announced length (RFC 9113, 8.1.1)."""
    if size > stream.content_left or (ended and size < stream.content_left):
        raise H2StreamError(
            stream.id, ErrorCode.PROTOCOL_ERROR, "content does not match content-length"
        )
    stream.content_left -= size
