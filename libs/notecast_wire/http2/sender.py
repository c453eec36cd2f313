"""Frames out: header blocks at once, DATA as far as windows and socket allow."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from notecast_wire.fairness.held_bytes import HeldBytes
from notecast_wire.fairness.shares import ShareRefusal, Shares
from notecast_wire.http2.closed_streams import ClosedStreams
from notecast_wire.http2.codes import ErrorCode, Flag, FrameType
from notecast_wire.http2.errors import H2ConnectionError
from notecast_wire.http2.events import AnswerSent, Event, StreamWritable
from notecast_wire.http2.frames import MAX_FRAME_BYTES, head, headers_frames, rst_stream_frame
from notecast_wire.http2.header_encoder import EMPTY_TABLE
from notecast_wire.http2.settings import (
    DEFAULT_TABLE_BYTES,
    DEFAULT_WINDOW_BYTES,
    MAX_WINDOW_BYTES,
)
from notecast_wire.http2.stream import (
    ANSWERED,
    END_KEPT,
    FORGOTTEN,
    NOTHING_MORE,
    PEER_ENDED,
    WE_ENDED,
    Stream,
)

PIECE_BYTES: Final = 32_768
"""The size of a piece that is joined, and written, at once where there is so much. Blocks of more
than 128 KiB come fresh from the system each time, which may cost ten times what it takes to fill
them (mallopt(3), M_MMAP_THRESHOLD)."""

_JOINED_BYTES: Final = 4_096
"""Larger data goes out after its head as it is; a copy costs more than a second piece."""

_DATA: Final = FrameType.DATA
_END_STREAM: Final = Flag.END_STREAM
_HEADERS_START: Final = bytes((FrameType.HEADERS, Flag.END_HEADERS))
_TRAILERS_START: Final = bytes((FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM))


class Sender:
    """Puts out the frames of one connection, and ends its streams.

    DATA that can't be sent now is kept on its stream, by reference, and counted for the stream's
    client: `held_output`. A stream with kept data is in `_ready` when its own window is open, so
    `_ready` holds streams only while the connection's window is closed or the socket is full.
    `_awaiting` has those whose owners asked to be told.

    Sending on a stream that is over, or that we have ended, does nothing.

    Args:
        on_output: called when `output` turns from empty to not empty.
        closed: is told of the streams that we reset.
        max_unread_replies: how many replies may wait while the socket is full.

    Attributes:
        output: what to write to the socket, in order; its owner takes and clears it.
        send_window: how many bytes of DATA the peer takes on the whole connection.
        congested: the socket takes no more for now; header blocks and replies are put out still.
        max_frame_bytes: the largest payload that the peer takes.
        initial_send_window: a new stream's `send_window`.
        streams: those that are open, by id.
        shares: of the streams, where many clients have them; None: the connection is one client's.
        held_output: where it is counted what is kept of the streams' data; None: nowhere.
        max_unread_replies: as given.
        unread_replies: how many wait.
        finished_calls: how many streams we have ended, other than by a reset.
    """

    __slots__ = (
        "_awaiting",
        "_before_block",
        "_closed",
        "_granted_bytes",
        "_ready",
        "_table_bytes",
        "congested",
        "finished_calls",
        "held_output",
        "initial_send_window",
        "max_frame_bytes",
        "max_unread_replies",
        "on_output",
        "output",
        "send_window",
        "shares",
        "streams",
        "unread_replies",
    )

    def __init__(
        self, on_output: Callable[[], None], closed: ClosedStreams, max_unread_replies: int
    ) -> None:
        self.output: list[bytes] = []
        self.send_window = DEFAULT_WINDOW_BYTES
        self.congested = False
        self.max_frame_bytes = MAX_FRAME_BYTES
        self.initial_send_window = DEFAULT_WINDOW_BYTES
        self.streams: dict[int, Stream] = {}
        self.shares: Shares | None = None
        self.held_output: HeldBytes | None = None
        self.on_output = on_output
        self.max_unread_replies = max_unread_replies
        self.unread_replies = 0
        self.finished_calls = 0
        self._closed = closed
        self._ready: OrderedDict[int, Stream] = OrderedDict()
        self._awaiting: dict[int, Stream] = {}
        self._table_bytes = DEFAULT_TABLE_BYTES
        self._before_block = b""
        self._granted_bytes = DEFAULT_WINDOW_BYTES

    # For the owners of streams

    def send_headers(self, stream: Stream, block: bytes, *, end_stream: bool = False) -> None:
        """Sends a header block, whatever the windows.

        Args:
            stream: an open one.
            block: from `encode_headers`, of any length.
            end_stream: nothing follows; a request that is still coming in is then cut off with
                RST_STREAM(NO_ERROR) (RFC 9113, 8.1).
        """
        if stream.state & NOTHING_MORE:
            return
        stream.state |= ANSWERED
        self._send_block(stream, block, _END_STREAM if end_stream else 0)

    def send_data(
        self, stream: Stream, data: bytes | memoryview, *, end_stream: bool = False
    ) -> bool:
        """Sends what the windows and the socket let through, and keeps the rest.

        Args:
            stream: an open one.
            data: of any length; what is kept of it is not copied, and must not change.
            end_stream: as for `send_headers`.

        Returns:
            True where nothing is kept; else StreamWritable tells when that is so.
        """
        size = len(data)
        if (
            stream.unsent is None
            and size <= stream.send_window
            and size <= self.send_window
            and size <= MAX_FRAME_BYTES
            and not (end_stream or self.congested or stream.state & NOTHING_MORE)
        ):
            if size:
                stream.send_window -= size
                self.send_window -= size
                self._emit_data(size.to_bytes(3) + stream.data_head, data)
            return True
        return self._send_or_keep(stream, data, end_stream=end_stream)

    def send_trailers(self, stream: Stream, block: bytes) -> None:
        """Sends the block that ends the stream, after what is kept of its data.

        Args:
            stream: an open one.
            block: as for `send_headers`; the request is cut off as there.
        """
        if stream.state & NOTHING_MORE:
            return
        if stream.unsent is None:
            self._send_block(stream, block, _END_STREAM)
        else:
            stream.state |= WE_ENDED
            stream.unsent.append(block)

    def respond(self, stream: Stream, headers: bytes, data: bytes, trailers: bytes) -> None:
        """Sends a whole answer: in one piece where windows and socket allow, else in parts.

        Args:
            stream: an open one on which nothing was sent.
            headers: a block.
            data: of any length.
            trailers: a block.
        """
        size = len(data)
        if (
            stream.state & ~PEER_ENDED
            or self.congested
            or size > stream.send_window
            or size > self.send_window
            or max(size, len(headers), len(trailers)) > MAX_FRAME_BYTES
            or self._before_block
        ):
            self.send_headers(stream, headers)
            self.send_data(stream, data)
            self.send_trailers(stream, trailers)
            return
        self.send_window -= size
        data_head = stream.data_head
        start = len(headers).to_bytes(3) + _HEADERS_START + data_head[2:] + headers
        end = len(trailers).to_bytes(3) + _TRAILERS_START + data_head[2:] + trailers
        self.emit(start + size.to_bytes(3) + data_head + data + end if size else start + end)
        self._finish(stream)

    def drop_unsent(self, stream: Stream) -> None:
        """Forgets what is kept of the stream's data; an end that is kept after it goes out."""
        unsent = self._take_unsent(stream)
        if unsent is None:
            return
        if isinstance(unsent[-1], bytes):
            self._send_block(stream, unsent[-1], _END_STREAM)
        elif stream.state & END_KEPT:
            self.emit(head(_DATA, _END_STREAM, stream.id, 0))
            self._finish(stream)

    def end_instead(self, stream: Stream, block: bytes) -> None:
        """Forgets what is kept of a stream that we have ended, and ends it with this block."""
        if self._take_unsent(stream) is not None:
            self._send_block(stream, block, _END_STREAM)

    def await_writable(self, stream: Stream) -> None:
        """Asks for one StreamWritable, once a window has grown or the socket takes more.

        The event comes while both windows and the socket are open, though not always as wide as
        hoped for. Streams of which something is kept need not ask.
        """
        if not stream.state & NOTHING_MORE:
            self._awaiting[stream.id] = stream

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Ends both directions of the stream at once; gives no event."""
        if not stream.state & FORGOTTEN:
            self.emit(rst_stream_frame(stream.id, code))
            self._closed.add_reset(stream.id, stream.client)
            self.forget(stream)

    def lose(self, held: object, refusal: ShareRefusal) -> None:
        """Gives up what is kept of a stream: its call ends, or where it has no owner, the stream.

        Args:
            held: the stream.
            refusal: which bound is passed.
        """
        assert isinstance(held, Stream)  # noqa: S101 - see `_count_kept`
        if held.call is not None:
            held.call.lose(refusal)
        else:
            self.reset(held, ErrorCode.ENHANCE_YOUR_CALM)

    # For the connection

    def emit(self, data: bytes) -> None:
        """Puts out frames as they are."""
        self.output.append(data)
        if len(self.output) == 1:
            self.on_output()

    def reply(self, data: bytes) -> None:
        """Puts out what the peer has provoked; only so much of it while it does not read.

        Raises:
            H2ConnectionError: ENHANCE_YOUR_CALM; it was too much.
        """
        if self.congested:
            self.unread_replies += 1
            if self.unread_replies > self.max_unread_replies:
                raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many unread replies")
        self.emit(data)

    def reply_headers(self, stream_id: int, block: bytes) -> None:
        """Puts out a header block that is all of an answer, on a stream that was not opened."""
        block, self._before_block = self._before_block + block, b""
        self.reply(headers_frames(stream_id, block, _END_STREAM, self.max_frame_bytes))

    def forget(self, stream: Stream) -> None:
        """Takes the stream from those that are open: it is over."""
        stream.state |= FORGOTTEN
        if stream.unsent is not None:
            stream.unsent = None
            self._count_kept(stream)
        del self.streams[stream.id]
        if self._ready:
            self._ready.pop(stream.id, None)
        if self._awaiting:
            self._awaiting.pop(stream.id, None)
        if self.shares is not None:
            self.shares.give_back(stream.client)

    @property
    def sent_bytes(self) -> int:
        """Bytes of DATA that were sent so far."""
        return self._granted_bytes - self.send_window

    @property
    def awaiting(self) -> int:
        """Number of streams whose owners have asked to be told when they can be written to."""
        return len(self._awaiting)

    def limit_table(self, size: int) -> None:
        """Follows the peer's HEADER_TABLE_SIZE: the next block says that ours shrank, once."""
        if size < self._table_bytes:
            self._table_bytes = 0
            self._before_block = EMPTY_TABLE

    def change_initial_window(self, size: int) -> None:
        """Changes the windows of all streams by as much (RFC 9113, 6.9.2).

        What a grown window lets out is not sent yet: see `stream_windows_grew`.

        Raises:
            H2ConnectionError: FLOW_CONTROL_ERROR; a window would be too large.
        """
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

    def stream_windows_grew(self, events: list[Event]) -> None:
        """Sends what the windows of streams kept back, or tells their owners."""
        for stream in list(self.streams.values()):
            self.stream_window_grew(stream, events)

    def stream_window_grew(self, stream: Stream, events: list[Event]) -> None:
        """Sends what the stream's window kept back, or tells its owner."""
        if stream.send_window <= 0:
            return
        if stream.unsent is not None:
            self._ready[stream.id] = stream
            self._send_ready(events)
            return
        writable = self.send_window > 0 and not self.congested
        if writable and self._awaiting.pop(stream.id, None) is not None:
            events.append(StreamWritable(stream))

    def widen(self, increment: int, events: list[Event]) -> None:
        """Adds to the connection's window, and sends what it kept back."""
        self.send_window += increment
        self._granted_bytes += increment
        self._connection_opened(events)

    def resume(self, events: list[Event]) -> None:
        """The socket takes more: sends what was kept, as far as the windows allow."""
        self.congested = False
        self.unread_replies = 0
        self._connection_opened(events)

    # What is put out at once

    def _send_block(self, stream: Stream, block: bytes, end_stream: int) -> None:
        if self._before_block:
            block = self._before_block + block
            self._before_block = b""
        self.emit(headers_frames(stream.id, block, end_stream, self.max_frame_bytes))
        if end_stream:
            self._finish(stream)

    def _emit_data(self, start: bytes, data: bytes | memoryview) -> None:
        if len(data) <= _JOINED_BYTES:
            self.emit(start + data)
        else:
            self.emit(start)
            self.output.append(bytes(data))  # as it is where it is bytes

    def _finish(self, stream: Stream) -> None:
        """Our side is out: with the peer's, that is the stream's end, else the peer may stop."""
        stream.state |= WE_ENDED
        self.finished_calls += 1
        if stream.state & PEER_ENDED:
            self.forget(stream)
        else:
            self.reset(stream, ErrorCode.NO_ERROR)

    # What is kept

    def _send_or_keep(self, stream: Stream, data: bytes | memoryview, *, end_stream: bool) -> bool:
        if stream.state & NOTHING_MORE:
            return stream.unsent is None
        unsent: deque[memoryview | bytes] = stream.unsent or deque()
        if data:
            unsent.append(memoryview(data))
        if end_stream:
            if not unsent:
                self.emit(head(_DATA, _END_STREAM, stream.id, 0))
                self._finish(stream)
                return True
            stream.state |= END_KEPT | WE_ENDED
        if not unsent:
            return True
        stream.unsent = unsent
        sent = self._send_at_once(stream)
        if not sent:
            self._count_kept(stream)
        return sent

    def _take_unsent(self, stream: Stream) -> deque[memoryview | bytes] | None:
        unsent = stream.unsent
        if unsent is not None:
            stream.unsent = None
            self._count_kept(stream)
            self._ready.pop(stream.id, None)
        return unsent

    def _count_kept(self, stream: Stream) -> None:
        """Says how much is kept of the stream now."""
        if self.held_output is not None:
            unsent = stream.unsent
            size = 0 if unsent is None else sum(map(len, unsent))
            self.held_output.hold(self, stream, stream.client, size)

    def _send_at_once(self, stream: Stream) -> bool:
        """Sends what was just kept as far as possible; True where that was all of it."""
        while stream.send_window > 0:
            if self.send_window <= 0 or self.congested:
                self._ready[stream.id] = stream
                return False
            if not self._send_kept(stream):
                return True
        return False

    def _connection_opened(self, events: list[Event]) -> None:
        """Sends what the connection kept back, and tells the owners that wait for it."""
        if not self._ready and not self._awaiting:
            return
        self._send_ready(events)
        if self.send_window <= 0 or self.congested:
            return
        for stream in list(self._awaiting.values()):
            if stream.send_window > 0 and stream.unsent is None:
                del self._awaiting[stream.id]
                events.append(StreamWritable(stream))

    def _send_ready(self, events: list[Event]) -> None:
        """Sends kept data, a frame of a stream after the other's, as the connection allows."""
        ready = self._ready
        while ready and self.send_window > 0 and not self.congested:
            stream_id, stream = ready.popitem(last=False)
            more = self._send_kept(stream)
            self._count_kept(stream)
            if more:
                if stream.send_window > 0:
                    ready[stream_id] = stream
            elif not stream.state & WE_ENDED:
                self._awaiting.pop(stream_id, None)
                events.append(StreamWritable(stream))
            elif stream.call is not None:
                events.append(AnswerSent(stream))

    def _send_kept(self, stream: Stream) -> bool:
        """Sends one frame of kept data, and the end where only that is left; True if more is kept.

        Both windows must be open, and the first of what is kept must be data.
        """
        unsent = stream.unsent
        if unsent is None:
            return False
        data = unsent.popleft()
        size = min(len(data), stream.send_window, self.send_window, MAX_FRAME_BYTES)
        if size < len(data):
            unsent.appendleft(data[size:])
            data = data[:size]
        stream.send_window -= size
        self.send_window -= size
        flags = 0 if unsent or not stream.state & END_KEPT else _END_STREAM
        self._emit_data(head(_DATA, flags, stream.id, size), data)
        if unsent and not isinstance(unsent[0], bytes):
            return True
        stream.unsent = None
        if unsent:
            self._send_block(stream, bytes(unsent[0]), _END_STREAM)
        elif flags:
            self._finish(stream)
        return False
