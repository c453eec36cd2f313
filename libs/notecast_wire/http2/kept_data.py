"""DATA that windows or socket keep back, and how it goes out when they open."""

from collections import deque
from typing import Final

from notecast_wire.http2.codes import Flag, FrameType
from notecast_wire.http2.events import AnswerSent, Event, StreamWritable
from notecast_wire.http2.frames import MAX_FRAME_BYTES, head
from notecast_wire.http2.output import Output
from notecast_wire.http2.stream import END_KEPT, NOTHING_MORE, WE_ENDED, Stream

_DATA: Final = FrameType.DATA
_END_STREAM: Final = Flag.END_STREAM


class KeptData(Output):
    """The part of a connection that keeps what can't be sent now.

    It is kept on its stream, by reference, and counted for the stream's client: `held_output`.
    A stream with kept data is in `_ready` when its own window is open, so `_ready` holds streams
    only while the connection's window is closed or the socket is full. `_awaiting` has those
    whose owners asked to be told.
    """

    __slots__ = ()

    def drop_unsent(self, stream: Stream) -> None:
        """Forgets what is kept of the stream's data; an end that is kept behind it goes out."""
        unsent = self._take_unsent(stream)
        if unsent is None:
            return
        if isinstance(unsent[-1], bytes):
            self._send_block(stream, unsent[-1], _END_STREAM)
        elif stream.state & END_KEPT:
            self._emit(head(_DATA, _END_STREAM, stream.id, 0))
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

    def _send_or_keep(self, stream: Stream, data: bytes | memoryview, *, end_stream: bool) -> bool:
        if stream.state & NOTHING_MORE:
            return stream.unsent is None
        unsent: deque[memoryview | bytes] = stream.unsent or deque()
        if data:
            unsent.append(memoryview(data))
        if end_stream:
            if not unsent:
                self._emit(head(_DATA, _END_STREAM, stream.id, 0))
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

    def _send_at_once(self, stream: Stream) -> bool:
        """Sends what was just kept as far as possible; True where that was all of it."""
        while stream.send_window > 0:
            if self.send_window <= 0 or self.congested:
                self._ready[stream.id] = stream
                return False
            if not self._send_kept(stream):
                return True
        return False

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

    def _stream_window_grew(self, stream: Stream, events: list[Event]) -> None:
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
