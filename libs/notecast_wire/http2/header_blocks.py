"""HEADERS and CONTINUATION into whole header blocks (RFC 9113, 4.3 and 6.10)."""

from typing import NamedTuple

from notecast_wire.http2.codes import MAX_STREAM_ID, ErrorCode, Flag
from notecast_wire.http2.errors import H2ConnectionError
from notecast_wire.http2.frames import unpadded
from notecast_wire.http2.limits import ConnectionLimits

_PRIORITY_BYTES = 5


class HeaderBlock(NamedTuple):
    """A header block that is whole.

    Attributes:
        stream_id: the stream.
        octets: all fragments, joined.
        ended: HEADERS has END_STREAM.
        fault: what is wrong with HEADERS itself, or nothing.
    """

    stream_id: int
    octets: bytes
    ended: bool
    fault: str


class _OpenBlock:
    """A header block of which CONTINUATION frames are missing; else as `HeaderBlock`."""

    __slots__ = ("ended", "fault", "frames", "octets", "stream_id")

    def __init__(self, stream_id: int, fragment: bytes, fault: str, *, ended: bool) -> None:
        self.stream_id = stream_id
        self.octets = bytearray(fragment)
        self.frames = 0
        self.ended = ended
        self.fault = fault


class HeaderBlocks:
    """Joins the fragments of one header block at a time.

    That nothing comes between them is for the connection to check.

    Args:
        limits: how long a block may be, and in how many frames it may come.

    Attributes:
        patience: by how much both bounds are wider: 1, or more for a proxy.
    """

    __slots__ = ("_begun", "_limits", "_open", "patience")

    def __init__(self, limits: ConnectionLimits) -> None:
        self.patience = 1
        self._limits = limits
        self._open: _OpenBlock | None = None
        self._begun = 0

    @property
    def unfinished(self) -> int:
        """The number of the block of which a part is missing; 0 where none is."""
        return self._begun if self._open is not None else 0

    def begin(self, flags: int, stream_id: int, payload: bytes) -> HeaderBlock | None:
        """Takes HEADERS; gives the block if it is whole with that.

        Raises:
            H2ConnectionError: padding or priority do not fit into the frame.
        """
        fault = ""
        payload, dependency = _bare_fragment(flags, payload)
        if dependency == stream_id:
            fault = "stream depends on itself"  # RFC 7540, 5.3.1
        ended = bool(flags & Flag.END_STREAM)
        if flags & Flag.END_HEADERS:
            return HeaderBlock(stream_id, payload, ended, fault)
        self._open = _OpenBlock(stream_id, payload, fault, ended=ended)
        self._begun += 1
        return None

    def go_on(self, flags: int, stream_id: int, payload: bytes) -> HeaderBlock | None:
        """Takes CONTINUATION; gives the block if it is whole with that.

        Raises:
            H2ConnectionError: PROTOCOL_ERROR, where it continues nothing; ENHANCE_YOUR_CALM, where
                the block becomes too long, or comes in too many frames.
        """
        block = self._open
        if block is None or block.stream_id != stream_id:
            raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "unexpected CONTINUATION")
        block.octets += payload
        block.frames += 1
        limits, patience = self._limits, self.patience
        most = limits.max_header_list_bytes * limits.max_header_block_factor
        if (
            block.frames > limits.max_continuations * patience
            or len(block.octets) > most * patience
        ):
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "header block too large")
        if not flags & Flag.END_HEADERS:
            return None
        self._open = None
        return HeaderBlock(stream_id, bytes(block.octets), block.ended, block.fault)


def _bare_fragment(flags: int, payload: bytes) -> tuple[bytes, int]:
    """The fragment in HEADERS without padding and priority, and the stream that it depends on."""
    if flags & Flag.PADDED:
        payload = unpadded(payload)
    if not flags & Flag.PRIORITY:
        return payload, 0
    if len(payload) < _PRIORITY_BYTES:
        raise H2ConnectionError(
            ErrorCode.FRAME_SIZE_ERROR, "HEADERS payload too short for its priority"
        )
    return payload[_PRIORITY_BYTES:], int.from_bytes(payload[:4]) & MAX_STREAM_ID
