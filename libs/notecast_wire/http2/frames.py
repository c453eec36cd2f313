"""Frames out of bytes, and bytes out of what frames say (RFC 9113, 4.1 and 6)."""

import struct
from collections.abc import Iterator
from typing import Final

from notecast_wire.http2.codes import ErrorCode, Flag, FrameType
from notecast_wire.http2.errors import H2ConnectionError

HEAD_BYTES: Final = 9
MAX_FRAME_BYTES: Final = 16_384
"""The largest payload that we take, as we never announce more, and that every peer takes (RFC 9113,
4.2)."""

_FIRST_HEAD = struct.Struct(">HBBBI")
_HEAD = struct.Struct(">IBI")
_HEAD_AND_NUMBER = struct.Struct(">IBII")
_SETTING = struct.Struct(">HI")
_WINDOW_UPDATE_HEAD = 4 << 8 | FrameType.WINDOW_UPDATE
_RST_STREAM_HEAD = 4 << 8 | FrameType.RST_STREAM

SETTINGS_ACK: Final = _HEAD.pack(FrameType.SETTINGS, Flag.ACK, 0)


class FrameReader:
    """Cuts what comes from a socket, split anywhere, into frames.

    It holds no more than one frame that is not complete, and takes what comes without copying it
    again for each small piece.
    """

    __slots__ = (
        "_begun",
        "_missing",
        "_rest",
    )

    def __init__(self) -> None:
        self._rest = bytearray()
        self._missing = 0
        self._begun = 0

    @property
    def unfinished(self) -> int:
        """The number of the frame that is not complete; 0 between two frames."""
        return self._begun if self._rest else 0

    def frames(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Gives the frames that are complete with this data, each once.

        The iterator must be run to its end, or the reader be given up.

        Yields:
            Type, flags, stream id and payload.

        Raises:
            H2ConnectionError: FRAME_SIZE_ERROR, where a frame is larger than we take. It comes
                after the frames before it.
        """
        if self._rest:
            self._rest += data
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = bytes(self._rest)
            self._rest.clear()
        else:
            self._begun += 1
        position = 0
        end = len(data)
        while (start := position + HEAD_BYTES) <= end:
            high, low, kind, flags, stream_id = _FIRST_HEAD.unpack_from(data, position)
            if (length := high << 8 | low) > MAX_FRAME_BYTES:
                raise H2ConnectionError(
                    ErrorCode.FRAME_SIZE_ERROR, f"frame size {length} above MAX_FRAME_SIZE"
                )
            position = start + length
            if position > end:
                self._keep(data, start - HEAD_BYTES, position - end)
                return
            yield kind, flags, stream_id & 0x7FFF_FFFF, data[start:position]
        if position < end:
            self._keep(data, position, start - end)

    def _keep(self, data: bytes, position: int, missing: int) -> None:
        if position:  # else it is the one that the data began with, or went on with
            self._begun += 1
        self._rest += memoryview(data)[position:]
        self._missing = missing


def unpadded(payload: bytes) -> bytes:
    """The payload of a PADDED frame without its padding (RFC 9113, 6.1).

    Raises:
        H2ConnectionError: FRAME_SIZE_ERROR, where the padding's length is missing; PROTOCOL_ERROR,
            where there is more padding than payload.
    """
    if not payload:
        raise H2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "no padding length in a PADDED frame")
    if payload[0] >= len(payload):
        raise H2ConnectionError(ErrorCode.PROTOCOL_ERROR, "padding longer than the payload")
    return payload[1 : len(payload) - payload[0]]


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """A frame of any type. Its payload must be shorter than 2**24 bytes."""
    return _HEAD.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def head(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """The 9 bytes in front of a payload of this length."""
    return _HEAD.pack(length << 8 | kind, flags, stream_id)


def headers_frames(stream_id: int, block: bytes, flags: int, max_bytes: int) -> bytes:
    """HEADERS, and after it CONTINUATION where the block is larger than a frame.

    Args:
        stream_id: the stream.
        block: from `encode_headers`.
        flags: END_STREAM or 0.
        max_bytes: the largest payload that the peer takes.
    """
    if len(block) <= max_bytes:
        return frame(FrameType.HEADERS, flags | Flag.END_HEADERS, stream_id, block)
    parts = [frame(FrameType.HEADERS, flags, stream_id, block[:max_bytes])]
    for start in range(max_bytes, len(block), max_bytes):
        part = block[start : start + max_bytes]
        last = Flag.END_HEADERS if start + max_bytes >= len(block) else 0
        parts.append(frame(FrameType.CONTINUATION, last, stream_id, part))
    return b"".join(parts)


def settings_frame(values: dict[int, int]) -> bytes:
    """SETTINGS with these values, by their ids."""
    payload = b"".join(_SETTING.pack(setting, value) for setting, value in values.items())
    return frame(FrameType.SETTINGS, 0, 0, payload)


def window_update_frame(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE for a stream, or for the connection with 0."""
    return _HEAD_AND_NUMBER.pack(_WINDOW_UPDATE_HEAD, 0, stream_id, increment)


def rst_stream_frame(stream_id: int, code: int) -> bytes:
    """RST_STREAM."""
    return _HEAD_AND_NUMBER.pack(_RST_STREAM_HEAD, 0, stream_id, code)


def ping_frame(data: bytes, *, ack: bool = False) -> bytes:
    """PING with 8 bytes, or the answer to it."""
    return frame(FrameType.PING, Flag.ACK if ack else 0, 0, data)


def goaway_frame(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY: streams above the last one were not and will not be looked at."""
    payload = last_stream_id.to_bytes(4) + code.to_bytes(4) + debug
    return frame(FrameType.GOAWAY, 0, 0, payload)
