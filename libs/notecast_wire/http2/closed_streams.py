"""A bounded memory of streams that are not open."""

from collections import deque
from typing import Final

from notecast_wire.fairness.clients import ClientId
from notecast_wire.http2.codes import MAX_STREAM_ID

_REMEMBERED_GAPS: Final = 16


class ClosedStreams:
    """Tells streams that never were from those that ended, and how, in bounded memory.

    Clients number their streams 1, 3, 5 and so on; what is remembered is only what is out of the
    ordinary: numbers that were left out, and streams that we have reset.

    Args:
        max_reset: how many of the newest streams that we reset are remembered.

    Attributes:
        newest: the highest stream id that the peer has opened; 0 before the first.
        last_taken: as GOAWAY has it: streams above it are refused.
    """

    __slots__ = ("_gaps", "_max_reset", "_reset", "last_taken", "newest")

    def __init__(self, max_reset: int) -> None:
        self.newest = 0
        self.last_taken = MAX_STREAM_ID
        self._max_reset = max_reset
        self._gaps: deque[range] | None = None
        self._reset: dict[int, ClientId | None] = {}

    def left_out(self, stream_id: int) -> None:
        """The peer opens this stream, which is not the next one after `newest`."""
        if self._gaps is None:
            self._gaps = deque(maxlen=_REMEMBERED_GAPS)
        self._gaps.append(range(self.newest + 1, stream_id))

    def never_was(self, stream_id: int) -> bool:
        """Whether a stream below `newest` was left out (RFC 9113, 5.1.1)."""
        return self._gaps is not None and any(stream_id in gap for gap in self._gaps)

    @property
    def newest_taken(self) -> int:
        """The highest stream id that was taken, of those that the peer has opened."""
        return min(self.last_taken, self.newest)

    def add_reset(self, stream_id: int, client: ClientId | None) -> None:
        """We have reset this stream, of this client: the peer may not know it yet."""
        self._reset[stream_id] = client
        if len(self._reset) > self._max_reset:
            del self._reset[next(iter(self._reset))]

    def peer_knows(self, stream_id: int) -> None:
        """The peer has ended or reset this stream itself: what it sends from here on is wrong."""
        self._reset.pop(stream_id, None)

    def has_ended(self, stream_id: int) -> bool:
        """Whether the peer must know that this stream, which is not open, was taken and has ended.

        Else frames of it are to be ignored (RFC 9113, 5.4.2).
        """
        return stream_id <= self.last_taken and stream_id not in self._reset

    def client_of(self, stream_id: int) -> ClientId | None:
        """Returns the client of a stream that we have reset; None where that is not known."""
        return self._reset.get(stream_id)
