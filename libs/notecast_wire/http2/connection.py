"""The server's side of an HTTP/2 connection, without I/O: bytes in, events and bytes out.

A connection is one object, since each of its frames may concern windows, streams and output at
once. Its parts by role, each with those before it as a base: `outgoing`, `incoming`,
`header_frames`, `control_frames`, and here what holds them together.
"""

import time
from collections.abc import Callable
from typing import Final

from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.codes import ErrorCode, Flag, FrameType
from notecast_wire.http2.control_frames import ControlFrames
from notecast_wire.http2.errors import H2ConnectionError, H2StreamError
from notecast_wire.http2.events import ConnectionEnded, Event, StreamEnded
from notecast_wire.http2.frames import (
    FrameReader,
    goaway_frame,
    settings_frame,
    window_update_frame,
)
from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.http2.refusals import Refuse, refuse_plainly
from notecast_wire.http2.settings import DEFAULT_WINDOW_BYTES, our_settings

__all__ = ["PREFACE", "Connection", "ConnectionLimits"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client says first (RFC 9113, 3.4)."""


class Connection(ControlFrames):
    """The server's side of one HTTP/2 connection (RFC 9113).

    Args:
        limits: what the peer may do.
        on_output: called when `output` turns from empty to not empty.
        clock: monotonic seconds.
        budgets: of the clients behind proxies, on all connections; None for this one's own.
        refuse: answers a request that is refused by its headers alone.
    """

    __slots__ = (
        "_over",
        "_preface",
        "_reader",
    )

    def __init__(
        self,
        limits: ConnectionLimits,
        on_output: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        budgets: ClientBudgets | None = None,
        refuse: Refuse = refuse_plainly,
    ) -> None:
        super().__init__(limits, on_output, clock, budgets, refuse)
        self._reader = FrameReader()
        self._preface = PREFACE
        self._over = False

    def start(self) -> None:
        """Puts out our SETTINGS, and opens the connection's window."""
        self._emit(settings_frame(our_settings(self._limits)))
        increment = self._limits.connection_window_bytes - DEFAULT_WINDOW_BYTES
        if increment > 0:
            self._receive_window += increment
            self._emit(window_update_frame(0, increment))

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
                self._take(self._behind_preface(data) if self._preface else data, events)
            except H2ConnectionError as fault:
                self._over = True
                last = self._newest_taken()
                self._emit(goaway_frame(last, fault.code, fault.reason.encode()))
                events.append(ConnectionEnded(fault.code, fault.reason))
        return events

    @property
    def unfinished(self) -> int:
        """A number for the header block or frame of which a part is missing; 0 where none is.

        It stays the same until that is whole, whatever comes of it.
        """
        if self._block is not None:
            return -self._blocks_begun
        return self._reader.unfinished

    def pause(self) -> None:
        """The socket takes no more for now: DATA is kept."""
        self.congested = True

    def resume(self) -> list[Event]:
        """The socket takes more: sends what was kept, as far as the windows allow."""
        self.congested = False
        self._unread_replies = 0
        events: list[Event] = []
        self._connection_opened(events)
        return events

    def close(self) -> list[Event]:
        """The socket is gone, and so are all streams."""
        self._over = True
        events: list[Event] = []
        for stream in list(self.streams.values()):
            self._forget(stream)
            events.append(StreamEnded(stream, ErrorCode.CANCEL, by_peer=True))
        return events

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
        if kind != self._only or (kind == FrameType.SETTINGS and flags & Flag.ACK):
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "unexpected frame type")
        self._only = None

    def _behind_preface(self, data: bytes) -> bytes:
        preface = self._preface
        if data[: len(preface)] != preface[: len(data)]:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "invalid connection preface")
        self._preface = preface[len(data) :]
        return data[len(preface) :]

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
