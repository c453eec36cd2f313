"""Fan-out: sends the same messages to many streams."""

import math
from typing import Final, cast

from notecast_wire.calls.outlet import StreamOutlet
from notecast_wire.calls.server_state import ConnectionHandle
from notecast_wire.http2.frames import MAX_FRAME_BYTES
from notecast_wire.http2.sender import PIECE_BYTES
from notecast_wire.http2.shared_window import NO_SHARED_WINDOW, SharedWindow
from notecast_wire.http2.stream import Stream
from notecast_wire.rpc.messages import length_prefixed

_AT_ONCE_BYTES: Final = 16_384
"""From this size on, output for one connection is written at once, not at the end of the turn: any
output that would join it there is small in comparison."""


class _Group(SharedWindow):
    """The members that share a connection.

    `heads` holds the same as `streams`, in the same order: what follows the length in the head
    of each one's DATA frames. `others` are the streams that another audience's group came to
    first, and which are members of that shared window.
    """

    __slots__ = ("handle", "heads", "others", "streams")

    def __init__(self, handle: ConnectionHandle) -> None:
        super().__init__()
        self.handle = handle
        self.streams: list[Stream] = []
        self.heads: list[bytes] = []
        self.others: list[Stream] | None = None

    def add(self, stream: Stream) -> None:
        self.streams.append(stream)
        self.heads.append(stream.data_head)
        if stream.shared is NO_SHARED_WINDOW:
            self._admit(stream)
        elif self.others is None:
            self.others = [stream]
        else:
            self.others.append(stream)

    def discard(self, stream: Stream) -> bool:
        """Removes a stream; the last one takes its index. Returns False if it was not here."""
        try:
            place = self.streams.index(stream)
        except ValueError:
            return False
        self.streams[place] = self.streams[-1]
        self.heads[place] = self.heads[-1]
        self.streams.pop()
        self.heads.pop()
        if stream.shared is self:
            self._release(stream)
        elif self.others is not None:
            self.others.remove(stream)
        return True

    def take(self, size: int) -> bool:
        """Takes this many bytes from each stream's window, and for all from the connection's.

        Takes nothing and returns False if a window is too small, or the socket is full. A stream
        with unsent data never passes, because its own window, or the connection's, is closed.
        """
        sender = self.handle.sender
        needed = size * len(self.heads)
        if sender.congested or needed > sender.send_window:
            return False
        if size > self.left:
            self._settle()
            if size > self.left:
                return False
        if self.others and not _take_from_each(self.others, size):
            return False
        self.left -= size
        self.owed += size
        sender.send_window -= needed
        return True

    def put(self, length: bytes, between: bytes, data: bytes) -> None:
        """Outputs a frame for each stream: the length, its head, the data, and so on.

        Writes large output at once, so that the next group reuses its memory: the CPU's caches then
        hold the output of one connection, not of all.
        """
        sender = self.handle.sender
        output, heads = sender.output, self.heads
        size = len(heads) * len(between)
        if not output and size < _AT_ONCE_BYTES:
            sender.on_output()
        most = PIECE_BYTES // len(between) + 1
        for start in range(0, len(heads), most):
            piece = heads[start : start + most]
            piece[0] = length + piece[0]
            piece[-1] += data
            output.append(between.join(piece))
        if size >= _AT_ONCE_BYTES:
            self.handle.flush()

    def _admit(self, stream: Stream) -> None:
        """Makes a stream a member of this shared window; it must not be one of any other."""
        window = stream.granted
        stream.granted += self.owed
        stream.shared = self
        self.left = min(self.left, window)

    def _release(self, stream: Stream) -> None:
        """Lets a member go, with a window of its own."""
        stream.granted -= self.owed
        stream.shared = NO_SHARED_WINDOW

    def _settle(self) -> None:
        """Takes from each one's window what it owes, and finds out how much is left."""
        left, owed = math.inf, self.owed
        for stream in self.streams:
            if stream.shared is self:
                stream.granted -= owed
                left = min(left, stream.granted)
        self.left = left
        self.owed = 0


def _take_from_each(streams: list[Stream], size: int) -> bool:
    """Takes as many bytes from each one's window; False, and nothing, where one has not so much."""
    for stream in streams:
        left = stream.send_window - size
        if left < 0:
            break
        stream.send_window = left
    else:
        return True
    for taken in streams:
        if taken is stream:
            break
        taken.send_window += size
    return False


class Audience:
    """Streams that get the same messages, wherever their connections lead.

    An outlet may be in several audiences. One whose call has ended leaves all of them itself.
    """

    __slots__ = ("_groups", "_size")

    def __init__(self) -> None:
        self._groups: dict[ConnectionHandle, _Group] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def connections(self) -> int:
        """The number of connections of the members."""
        return len(self._groups)

    def add(self, outlet: StreamOutlet) -> None:
        """Adds an outlet, unless its call has ended. It must not be a member yet."""
        if outlet.done:
            return
        group = self._groups.get(outlet.handle)
        if group is None:
            group = self._groups[outlet.handle] = _Group(outlet.handle)
        group.add(outlet.stream)
        outlet.join(self)
        self._size += 1

    def discard(self, outlet: StreamOutlet) -> None:
        """Removes an outlet, if it is a member."""
        group = self._groups.get(outlet.handle)
        if group is None or not group.discard(outlet.stream):
            return
        outlet.part(self)
        self._size -= 1
        if not group.streams:
            del self._groups[outlet.handle]

    def send(self, message: bytes) -> list[StreamOutlet]:
        """Writes a serialised message to all members.

        The members on one connection get it in one piece: their frames only differ in the stream's
        number. If one of them has no room, the members on its connection are written to one by
        one; members on other connections are not affected.

        Returns:
            The members that could not take it; see `StreamOutlet.write`. They stay members:
            discard those that must catch up first.
        """
        data = length_prefixed(message)
        size = len(data)
        refused: list[StreamOutlet] = []
        length = size.to_bytes(3)
        between = data + length
        for group in self._groups.values():
            if size <= MAX_FRAME_BYTES and group.take(size):
                group.put(length, between, data)
            else:
                outlets = cast("list[StreamOutlet]", [stream.call for stream in group.streams])
                refused += [outlet for outlet in outlets if not outlet.write_framed(data)]
        return refused
