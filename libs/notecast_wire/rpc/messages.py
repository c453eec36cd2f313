"""Encodes and decodes length-prefixed messages, plain and compressed (PROTOCOL-HTTP2).

A message on the wire is a flag (1 byte: compressed or not), its length (4 bytes, big endian) and
its bytes. The boundaries of DATA frames don't matter.
"""

import zlib
from typing import Final, NamedTuple

from notecast_wire.http2.errors import WireError

PREFIX_BYTES: Final = 5

_GZIP_WINDOW_BITS = 31  # 16 says gzip's head and checksum, 15 is the largest window (zlib.h)


class MessageError(WireError):
    """A malformed message, or one that this call may not have: the call ends with INTERNAL."""


class MessageTooLargeError(WireError):
    """A message above the bound: the call ends with RESOURCE_EXHAUSTED.

    Args:
        what: which message it is.
        size: its size in bytes.
        most: the bound in bytes.
    """

    def __init__(self, what: str, size: int, most: int) -> None:
        super().__init__(f"{what} larger than max ({size} vs. {most})")


class RawMessage(NamedTuple):
    """A message as it was sent."""

    compressed: bool
    data: bytes


def length_prefixed(message: bytes) -> bytes:
    """Adds the prefix to a message, without compression."""
    return b"\0" + len(message).to_bytes(4) + message


def length_prefixed_gzip(message: bytes) -> bytes:
    """Adds the prefix to a message, compressed if that makes it smaller."""
    packer = zlib.compressobj(wbits=_GZIP_WINDOW_BITS)
    packed = packer.compress(message) + packer.flush()
    if len(packed) >= len(message):
        return length_prefixed(message)
    return b"\1" + len(packed).to_bytes(4) + packed


def unpack(data: bytes, max_bytes: int) -> bytes:
    """Decompresses a message.

    Never decompresses more than one byte above the bound.

    Raises:
        MessageTooLargeError: the result is above the bound.
        MessageError: the data are not gzip, or incomplete.
    """
    unpacker = zlib.decompressobj(wbits=_GZIP_WINDOW_BITS)
    try:
        message = unpacker.decompress(data, max_bytes + 1)
    except zlib.error:
        raise MessageError("the message is not gzip") from None
    if len(message) > max_bytes:
        raise MessageTooLargeError("Received message, unpacked,", len(message), max_bytes)
    if not unpacker.eof or unpacker.unused_data:
        raise MessageError("the message is not one whole gzip member")
    return message


def whole_message(data: bytes) -> bytes | None:
    """Returns the message if the data are exactly one uncompressed message; else None.

    Nearly every request is like this.
    """
    if len(data) >= PREFIX_BYTES and data[0] == 0:
        message = data[PREFIX_BYTES:]
        if int.from_bytes(data[1:PREFIX_BYTES]) == len(message):
            return message
    return None


class MessageReader:
    """Splits a stream of bytes into messages.

    Args:
        max_bytes: bound on a message, as it comes on the wire.
    """

    __slots__ = ("_begun", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._begun = bytearray()
        self._max_bytes = max_bytes

    @property
    def held_bytes(self) -> int:
        """The bytes of an incomplete message, its prefix included."""
        return len(self._begun)

    def feed(self, data: bytes) -> list[RawMessage]:
        """Adds bytes; returns the messages that they complete.

        Raises:
            MessageTooLargeError: a message is announced that is above the bound; it is not held.
            MessageError: a message has an unknown flag.
        """
        begun = self._begun
        begun += data
        messages = []
        position = 0
        with memoryview(begun) as view:
            while (body := position + PREFIX_BYTES) <= len(view):
                end = body + self._announced(view[position:body])
                if end > len(view):
                    break
                messages.append(RawMessage(view[position] == 1, bytes(view[body:end])))
                position = end
        del begun[:position]
        return messages

    def _announced(self, prefix: memoryview) -> int:
        if prefix[0] > 1:
            raise MessageError(f"a message has the flag {prefix[0]}")
        size = int.from_bytes(prefix[1:])
        if size > self._max_bytes:
            raise MessageTooLargeError("Received message", size, self._max_bytes)
        return size
