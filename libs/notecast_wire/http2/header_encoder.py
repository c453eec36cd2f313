"""Header lists into HPACK blocks that mean the same on every connection (RFC 7541)."""

from collections.abc import Iterable
from typing import Final

from notecast_wire.http2.static_table import STATIC_FIELDS

EMPTY_TABLE: Final = b"\x20"
"""Goes before the next block once the peer has shrunk its table: ours has no entries (RFC 7541,
4.2; a peer must refuse a block that does not say so, RFC 9113, 4.3.1)."""

_WHOLE_FIELDS: Final = {
    pair: bytes((0x80 | index,)) for index, pair in enumerate(STATIC_FIELDS, start=1)
}
_NAMES: Final[dict[bytes, int]] = {}
for _index, (_name, _) in enumerate(STATIC_FIELDS, start=1):
    _NAMES.setdefault(_name, _index)


def encode_headers(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A block that leaves the peer's dynamic table alone, and so can be sent often and anywhere.

    Only the static table's indices and literals without indexing are used, and no Huffman code.

    Args:
        pairs: names, in lower case, and values; pseudo headers first.

    Returns:
        The block, to be put in HEADERS and CONTINUATION frames.
    """
    return b"".join([_WHOLE_FIELDS.get(pair) or _literal(*pair) for pair in pairs])


def _literal(name: bytes, value: bytes) -> bytes:
    index = _NAMES.get(name)
    start = b"\x00" + _string(name) if index is None else _integer(index, 4)
    return start + _string(value)


def _string(octets: bytes) -> bytes:
    return _integer(len(octets), 7) + octets


def _integer(number: int, prefix_bits: int) -> bytes:
    """An integer after a prefix whose other bits are 0 (RFC 7541, 5.1)."""
    most = (1 << prefix_bits) - 1
    if number < most:
        return bytes((number,))
    octets = bytearray((most,))
    number -= most
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
