"""Length-prefixed messages: out of DATA and into it, plain and compressed (PROTOCOL-HTTP2).

A message on the wire is a flag (1 byte: compressed or not), its length (4 bytes, big endian)
and its bytes. Where DATA frames begin and end has nothing to do with it.
"""

import zlib
from typing import Final, NamedTuple

from notecast_wire.http2.errors import WireError

PREFIX_BYTES: Final = 5

_GZIP_WINDOW_BITS = 31  # 16 says gzip's head and checksum, 15 is the largest window (zlib.h)


class MessageError(WireError):
    """A message that is none, or none of this call's: its call ends with INTERNAL."""


class MessageTooLargeError(WireError):
    """A message over the bound: its call ends with RESOURCE_EXHAUSTED.

    Args:
        what: which of the messages it is.
        size: its bytes.
        most: the bound, in bytes.
    """

    def __init__(self, what: str, size: int, most: int) -> None:
        super().__init__(f"{what} larger than max ({size} vs. {most})")


class RawMessage(NamedTuple):
    """A message as it was sent."""

    compressed: bool
    data: bytes


def length_prefixed(message: bytes) -> bytes:
    """A message with its prefix, not compressed."""
    return b"\0" + len(message).to_bytes(4) + message


def length_prefixed_gzip(message: bytes) -> bytes:
    """A message with its prefix, compressed where that makes it smaller."""
    packer = zlib.compressobj(wbits=_GZIP_WINDOW_BITS)
    packed = packer.compress(message) + packer.flush()
    if len(packed) >= len(message):
        return length_prefixed(message)
    return b"\1" + len(packed).to_bytes(4) + packed


def unpack(data: bytes, max_bytes: int) -> bytes:
    """What a compressed message holds.

    No more than one byte over the bound is ever unpacked, whatever the data would become.

    Raises:
        MessageTooLargeError: that is over the bound.
        MessageError: it is not gzip, or not whole.
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
    """The message, where the data are exactly one that is not compressed; else None.

    It is how nearly every request comes.
    """
    if len(data) >= PREFIX_BYTES and data[0] == 0:
        message = data[PREFIX_BYTES:]
        if int.from_bytes(data[1:PREFIX_BYTES]) == len(message):
            return message
    return None


class MessageReader:
    """Cuts a stream of bytes into messages.

    Args:
        max_bytes: the largest message, as it comes on the wire.
    """

    __slots__ = ("_begun", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._begun = bytearray()
        self._max_bytes = max_bytes

    @property
    def held_bytes(self) -> int:
        """What has come of a message that is not whole, its prefix included."""
        return len(self._begun)

    def feed(self, data: bytes) -> list[RawMessage]:
        """The messages that are whole with these bytes.

        Raises:
            MessageTooLargeError: one is announced that is over the bound; nothing of it is held.
            MessageError: one begins with a flag that does not exist.
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
