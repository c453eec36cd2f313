"""What every frame of ours goes through, and how a stream ends."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from notecast_wire.fairness.held_bytes import HeldBytes
from notecast_wire.fairness.shares import ShareRefusal, Shares
from notecast_wire.http2.closed_streams import ClosedStreams
from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.frames import MAX_FRAME_BYTES, headers_frames, rst_stream_frame
from notecast_wire.http2.header_encoder import EMPTY_TABLE
from notecast_wire.http2.settings import DEFAULT_TABLE_BYTES, DEFAULT_WINDOW_BYTES
from notecast_wire.http2.stream import FORGOTTEN, PEER_ENDED, WE_ENDED, Stream

PIECE_BYTES: Final = 32_768
"""What is joined, and written, at once where there is so much. Blocks of more than 128 KiB come
fresh from the system each time, which may cost ten times what it takes to fill them (mallopt(3),
M_MMAP_THRESHOLD)."""

_JOINED_BYTES: Final = 4_096
"""Larger data goes out behind its head as it is; a copy costs more than a second piece."""


class Output:
    """The frames that a connection puts out, and the streams that it has open.

    Attributes:
        output: what to write to the socket, in order; its owner takes and clears it.
        send_window: how many bytes of DATA the peer takes on the whole connection.
        congested: the socket takes no more for now; header blocks and replies are put out still.
        max_frame_bytes: the largest payload that the peer takes.
        initial_send_window: a new stream's `send_window`.
        streams: those that are open, by id.
        held_output: where it is counted what is kept of the streams' data; None: nowhere.
    """

    __slots__ = (
        "_awaiting",
        "_before_block",
        "_closed",
        "_finished_calls",
        "_granted_bytes",
        "_ready",
        "_shares",
        "_table_bytes",
        "congested",
        "held_output",
        "initial_send_window",
        "max_frame_bytes",
        "on_output",
        "output",
        "send_window",
        "streams",
    )

    def __init__(self, on_output: Callable[[], None], closed: ClosedStreams) -> None:
        self.output: list[bytes] = []
        self.send_window = DEFAULT_WINDOW_BYTES
        self.congested = False
        self.max_frame_bytes = MAX_FRAME_BYTES
        self.initial_send_window = DEFAULT_WINDOW_BYTES
        self.streams: dict[int, Stream] = {}
        self.held_output: HeldBytes | None = None
        self.on_output = on_output
        self._closed = closed
        self._ready: OrderedDict[int, Stream] = OrderedDict()
        self._awaiting: dict[int, Stream] = {}
        self._table_bytes = DEFAULT_TABLE_BYTES
        self._before_block = b""
        self._granted_bytes = DEFAULT_WINDOW_BYTES
        self._finished_calls = 0
        self._shares: Shares | None = None  # of the streams, where many clients have them

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Ends both directions of the stream at once; gives no event."""
        if not stream.state & FORGOTTEN:
            self._emit(rst_stream_frame(stream.id, code))
            self._closed.add_reset(stream.id, stream.client)
            self._forget(stream)

    def _send_block(self, stream: Stream, block: bytes, end_stream: int) -> None:
        if self._before_block:
            block = self._before_block + block
            self._before_block = b""
        self._emit(headers_frames(stream.id, block, end_stream, self.max_frame_bytes))
        if end_stream:
            self._finish(stream)

    def _peer_table_size(self, size: int) -> None:
        """Follows the peer's HEADER_TABLE_SIZE: the next block says that ours shrank, once."""
        if size < self._table_bytes:
            self._table_bytes = 0
            self._before_block = EMPTY_TABLE

    def _finish(self, stream: Stream) -> None:
        """Our side is out: with the peer's, that is the stream's end, else the peer may stop."""
        stream.state |= WE_ENDED
        self._finished_calls += 1
        if stream.state & PEER_ENDED:
            self._forget(stream)
        else:
            self.reset(stream, ErrorCode.NO_ERROR)

    def _forget(self, stream: Stream) -> None:
        stream.state |= FORGOTTEN
        if stream.unsent is not None:
            stream.unsent = None
            self._count_kept(stream)
        del self.streams[stream.id]
        if self._ready:
            self._ready.pop(stream.id, None)
        if self._awaiting:
            self._awaiting.pop(stream.id, None)
        if self._shares is not None:
            self._shares.give_back(stream.client)

    def lose(self, held: object, refusal: ShareRefusal) -> None:
        """Gives up what is kept of a stream: its call ends, or where nobody minds it, the stream.

        Args:
            held: the stream.
            refusal: which bound is passed.
        """
        assert isinstance(held, Stream)  # noqa: S101 - see `_count_kept`
        if held.call is not None:
            held.call.lose(refusal)
        else:
            self.reset(held, ErrorCode.ENHANCE_YOUR_CALM)

    def _count_kept(self, stream: Stream) -> None:
        """Says how much is kept of the stream now."""
        if self.held_output is not None:
            unsent = stream.unsent
            size = 0 if unsent is None else sum(map(len, unsent))
            self.held_output.hold(self, stream, stream.client, size)

    def _emit_data(self, start: bytes, data: bytes | memoryview) -> None:
        if len(data) <= _JOINED_BYTES:
            self._emit(start + data)
        else:
            self._emit(start)
            self.output.append(bytes(data))  # as it is where it is bytes

    def _emit(self, data: bytes) -> None:
        self.output.append(data)
        if len(self.output) == 1:
            self.on_output()
