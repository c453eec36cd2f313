"""Huffman strings of header blocks (RFC 7541, 5.2), an octet a step.

The `hpack` library walks its tables half an octet at a time. Here two such steps are put together
the first time that they are needed, and a string is walked in one comprehension: a fresh deadline
on each call is cheap to read, and 16 KiB of codes take about half a millisecond.
"""

from typing import Any, Final

from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.errors import H2ConnectionError

_Row = list[Any]
"""Of a state: for each octet the step that it leads to, or None as long as nobody has asked."""

_Step = tuple[_Row, bytes, int]
"""The row of the next state, what was decoded, and whether the string may end there."""

_ROWS: Final[list[_Row]] = [[None] * 256 for _ in range(256)]
"""It grows by what is asked for, and never beyond the 65,536 steps that there are (about 5 MB); an
honest client's strings need some hundreds."""

_NUMBERS: Final = {id(row): number for number, row in enumerate(_ROWS)}
_START: Final[_Step] = (_ROWS[0], b"", 1)

_NO_CODE: Final[_Row] = []
_NO_CODE.extend([(_NO_CODE, b"", 0)] * 256)
"""Where what is no code leads; nothing leads out of it."""


def decode_huffman(octets: bytes) -> bytes:
    """Decodes a string.

    Raises:
        H2ConnectionError: COMPRESSION_ERROR; it is no Huffman string, or ends amid a symbol.
    """
    step = _START
    try:
        pieces = [(step := step[0][octet])[1] for octet in octets]
    except TypeError:  # a step that is not known yet
        _learn(octets)
        return decode_huffman(octets)
    if not step[2]:
        raise H2ConnectionError(ErrorCode.COMPRESSION_ERROR, "a string that is no Huffman code")
    return b"".join(pieces)


def _learn(octets: bytes) -> None:
    """Makes the steps that a string needs."""
    row = _ROWS[0]
    for octet in octets:
        step = row[octet]
        if step is None:
            step = row[octet] = _made(_NUMBERS[id(row)], octet)
        row = step[0]


def _made(state: int, octet: int) -> _Step:
    decoded = b""
    flags = 0
    for half in (octet >> 4, octet & 0x0F):
        state, flags, symbol = HUFFMAN_TABLE[state * 16 + half]
        if flags & HUFFMAN_FAIL:
            return _NO_CODE, b"", 0
        if flags & HUFFMAN_EMIT_SYMBOL:
            decoded += bytes((symbol,))
    return _ROWS[state], decoded, flags & HUFFMAN_COMPLETE
