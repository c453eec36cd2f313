"""HPACK blocks from the peer into header lists (RFC 7541)."""

from collections import deque
from typing import Final, NamedTuple

from notecast_wire.fairness.clients import CONNECTION, FORWARDED_FOR
from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.errors import H2ConnectionError
from notecast_wire.http2.huffman import decode_huffman
from notecast_wire.http2.static_table import STATIC_FIELDS

FIELD_OVERHEAD_BYTES: Final = 32
"""Octets that a field counts beside its name and value, in tables and lists (RFC 7541, 4.1)."""

_Field = tuple[bytes, bytes]

_TABLE_BYTES: Final = 4_096
"""The dynamic table's size as long as we announce no other (RFC 9113, 6.5.2)."""
_FIRST_DYNAMIC: Final = len(STATIC_FIELDS) + 1
_STATIC: Final[tuple[_Field, ...]] = ((b"", b""), *STATIC_FIELDS)  # as indices begin with 1
_MAX_INTEGER_SHIFT: Final = 28
"""Integers of more than five further octets are nobody's honest length or index."""


_KEPT_NAMES: Final = frozenset((FORWARDED_FOR, CONNECTION))
_MAX_KEPT: Final = 16


class OversizedList(NamedTuple):
    """Remains of a header list that is larger than allowed.

    Attributes:
        size: by the measure of RFC 9113, 6.5.2.
        largest: the name of its largest field.
        content_type: as sent; empty where there is none.
        kept: the last fields that say who the client is.
    """

    size: int
    largest: bytes
    content_type: bytes
    kept: list[tuple[bytes, bytes]]


class HeaderDecoder:
    """Decodes the blocks of one connection, in the order in which they came.

    Args:
        max_list_bytes: the largest header list that is handed out, by the measure of RFC 9113,
            6.5.2. Larger ones are decoded all the same, for what they do to the table.

    Attributes:
        oversized: what the last list was that was larger; None before the first.
    """

    __slots__ = (
        "_dynamic",
        "_dynamic_bytes",
        "_max_list_bytes",
        "_table_bytes",
        "oversized",
    )

    def __init__(self, max_list_bytes: int) -> None:
        self.oversized: OversizedList | None = None
        self._max_list_bytes = max_list_bytes
        self._dynamic: list[_Field] = []  # the newest is the last
        self._dynamic_bytes = 0
        self._table_bytes = _TABLE_BYTES

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]] | None:
        """The header list of a whole block; None where it is larger than allowed: see `oversized`.

        Raises:
            H2ConnectionError: COMPRESSION_ERROR; the table can't be trusted any more.
        """
        try:
            return self._decode(block, self._resized(block))
        except IndexError as fault:
            raise _compression_error("field block can't be decoded") from fault

    def _decode(self, block: bytes, position: int) -> list[_Field] | None:
        fields: list[_Field] = []
        beyond: _Beyond | None = None
        dynamic = self._dynamic
        left = self._max_list_bytes
        end = len(block)
        while position < end:
            octet = block[position]
            if 0x80 < octet < 0xFF:  # an index of one octet: nearly every field of a warm peer
                position += 1
                index = octet & 0x7F
                field = _STATIC[index] if index < _FIRST_DYNAMIC else dynamic[61 - index]
            elif octet >= 0x80:
                index, position = _integer(block, position, 0x7F)
                field = self._entry(index)
            else:
                field, position = self._literal(block, position)
            left -= FIELD_OVERHEAD_BYTES + len(field[0]) + len(field[1])
            if left >= 0:
                fields.append(field)
            else:
                beyond = beyond or _Beyond(fields)
                beyond.add(field)
        if beyond is None:
            return fields
        self.oversized = beyond.summary(self._max_list_bytes - left)
        return None

    def _resized(self, block: bytes) -> int:
        """Follows the table size updates at a block's start, and says where its fields begin."""
        position = 0
        while position < len(block) and block[position] & 0xE0 == 0x20:
            size, position = _integer(block, position, 0x1F)
            if size > _TABLE_BYTES:
                raise _compression_error("dynamic table size above HEADER_TABLE_SIZE")
            self._table_bytes = size
            self._evict()
        return position

    def _literal(self, block: bytes, position: int) -> tuple[_Field, int]:
        octet = block[position]
        indexed = octet & 0xC0 == 0x40
        if not indexed and octet & 0x20:
            raise _compression_error("dynamic table size update after a field")
        index, position = _integer(block, position, 0x3F if indexed else 0x0F)
        if index:
            name = self._entry(index)[0]
        else:
            name, position = _string(block, position)
        value, position = _string(block, position)
        field = (name, value)
        if indexed:
            self._add(field)
        return field, position

    def _entry(self, index: int) -> _Field:
        if index >= _FIRST_DYNAMIC:
            return self._dynamic[_FIRST_DYNAMIC - 1 - index]
        if index == 0:
            raise _compression_error("index 0")
        return _STATIC[index]

    def _add(self, field: _Field) -> None:
        """Adds an entry; one that is larger than the table leaves it empty (RFC 7541, 4.4)."""
        self._dynamic.append(field)
        self._dynamic_bytes += FIELD_OVERHEAD_BYTES + len(field[0]) + len(field[1])
        if self._dynamic_bytes > self._table_bytes:
            self._evict()

    def _evict(self) -> None:
        evicted = 0
        while self._dynamic_bytes > self._table_bytes:
            name, value = self._dynamic[evicted]
            self._dynamic_bytes -= FIELD_OVERHEAD_BYTES + len(name) + len(value)
            evicted += 1
        del self._dynamic[:evicted]


class _Beyond:
    """Looks at the fields of a list that is too large, and keeps but a few of them.

    Args:
        fields: those within the bound.
    """

    __slots__ = ("_content_type", "_kept", "_largest", "_most")

    def __init__(self, fields: list[_Field]) -> None:
        self._content_type = b""
        self._kept: deque[_Field] = deque(maxlen=_MAX_KEPT)
        self._largest = b""
        self._most = -1
        for field in fields:
            self.add(field)

    def add(self, field: _Field) -> None:
        """Takes the next field."""
        name, value = field
        if len(name) + len(value) > self._most:
            self._most = len(name) + len(value)
            self._largest = name
        if name in _KEPT_NAMES:
            self._kept.append(field)
        elif name == b"content-type":
            self._content_type = value

    def summary(self, size: int) -> OversizedList:
        """Gives the remains at the end."""
        return OversizedList(size, self._largest, self._content_type, list(self._kept))


def _integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    """An integer (RFC 7541, 5.1) and the position after it; IndexError where it is cut off."""
    number = block[position] & mask
    position += 1
    if number < mask:
        return number, position
    for shift in range(0, _MAX_INTEGER_SHIFT + 1, 7):
        octet = block[position]
        position += 1
        number += (octet & 0x7F) << shift
        if octet < 0x80:
            return number, position
    raise _compression_error("integer of too many octets")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    """A string (RFC 7541, 5.2) and the position after it; IndexError where it is cut off."""
    huffman = block[position] & 0x80
    length, start = _integer(block, position, 0x7F)
    end = start + length
    if end > len(block):
        raise _compression_error("truncated string literal")
    octets = block[start:end]
    return decode_huffman(octets) if huffman else octets, end


def _compression_error(reason: str) -> H2ConnectionError:
    return H2ConnectionError(ErrorCode.COMPRESSION_ERROR, reason)
