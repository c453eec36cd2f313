"""Huffman strings of header blocks (RFC 7541, 5.2), an octet a step.

The `hpack` library walks its tables half an octet at a time. Here two such steps are put together
the first time that they are needed, which makes a fresh deadline on each call cheap to read.
"""

from typing import Final

from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

from notecast_wire.codes import ErrorCode
from notecast_wire.errors import ConnectionFault

_Step = tuple[int, bytes, int]


class _Steps(dict[int, _Step]):
    """From state and octet to the next state, what was decoded, and whether it may end there.

    It grows by what is asked for, and never beyond the 65,536 that there are (11 MB); an honest
    client's strings need some hundreds.
    """

    __slots__ = ()

    def __missing__(self, state_and_octet: int) -> _Step:
        state, octet = divmod(state_and_octet, 256)
        decoded = b""
        flags = 0
        for half in (octet >> 4, octet & 0x0F):
            state, flags, symbol = HUFFMAN_TABLE[state * 16 + half]
            if flags & HUFFMAN_FAIL:
                raise _invalid()
            if flags & HUFFMAN_EMIT_SYMBOL:
                decoded += bytes((symbol,))
        step = (state << 8, decoded, flags & HUFFMAN_COMPLETE)
        self[state_and_octet] = step
        return step


_STEPS: Final = _Steps()


def decode_huffman(octets: bytes) -> bytes:
    """Decodes a string.

    Raises:
        ConnectionFault: COMPRESSION_ERROR; it is no Huffman string, or ends amid a symbol.
    """
    steps = _STEPS
    state = 0
    complete = 1
    pieces = []
    for octet in octets:
        state, piece, complete = steps[state | octet]
        pieces.append(piece)
    if not complete:
        raise _invalid()
    return b"".join(pieces)


def _invalid() -> ConnectionFault:
    return ConnectionFault(ErrorCode.COMPRESSION_ERROR, "a string that is no Huffman code")
