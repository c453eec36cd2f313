"""What goes out on a connection: header blocks at once, DATA as far as windows and socket allow."""

from typing import Final

from notecast_wire.http2.codes import Flag, FrameType
from notecast_wire.http2.frames import MAX_FRAME_BYTES
from notecast_wire.http2.kept_data import KeptData
from notecast_wire.http2.stream import ANSWERED, NOTHING_MORE, PEER_ENDED, WE_ENDED, Stream

_END_STREAM: Final = Flag.END_STREAM
_HEADERS_START: Final = bytes((FrameType.HEADERS, Flag.END_HEADERS))
_TRAILERS_START: Final = bytes((FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM))


class Outgoing(KeptData):
    """The sending half of a connection.

    Sending on a stream that is over, or that we have ended, does nothing.
    """

    __slots__ = ()

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
        """Sends the block that ends the stream, behind what is kept of its data.

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
        self._emit(start + size.to_bytes(3) + data_head + data + end if size else start + end)
        self._finish(stream)
