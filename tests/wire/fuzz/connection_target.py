"""Feeds a connection with any bytes, in any pieces, and checks what must hold for all of them."""

import gc
import sys
from collections.abc import Iterable
from types import FunctionType, MethodType, ModuleType
from typing import Final

from notecast_wire.http2.connection import ConnectionLimits
from notecast_wire.http2.stream import Stream
from tests.wire.fuzz.owner import Owner

LIMITS: Final = ConnectionLimits(max_concurrent_streams=50, reset_burst=100, noop_frame_burst=500)

_CODE: Final = (type, ModuleType, FunctionType, MethodType)
_FRAME_HEAD_BYTES: Final = 9
# Before any input: the objects themselves, and the decoder's table.
_KEPT_AT_MOST: Final = 400_000
_OUTPUT_AT_MOST: Final = 1_000
# The smallest frame has 9 bytes; what answers it has at most 40.
_OUTPUT_FACTOR: Final = 5


def feed(pieces: Iterable[bytes]) -> None:
    """Feeds pieces to a connection, until it or the input ends.

    What else happens to a connection happens in between: the socket fills and empties, the server
    pings and leaves. The pieces' lengths say when.

    Raises:
        AssertionError: something that holds for all input does not hold for this.
        Exception: anything else that escapes is a fault as well.
    """
    owner = Owner(LIMITS)
    connection = owner.connection
    connection.start()
    received = written = 0
    for piece in pieces:
        owner.take(connection.receive(piece))
        received += len(piece)
        # What is put out before the peer wants smaller frames may be written after it.
        owner.largest_frame = max(owner.largest_frame, connection.sender.max_frame_bytes)
        if not connection.sender.congested:
            written += _write(owner)
        if owner.ended:
            break
        _act(owner, len(piece))
    owner.take(connection.resume() if not owner.ended else [])
    written += _write(owner)
    assert written <= _OUTPUT_AT_MOST + _OUTPUT_FACTOR * received + 2 * owner.sent
    kept = kept_bytes(connection)
    assert kept <= _KEPT_AT_MOST + LIMITS.max_concurrent_streams * LIMITS.stream_window_bytes, kept
    assert len(connection.streams) <= LIMITS.max_concurrent_streams
    owner.ended = False  # whatever comes last is the end of the streams
    owner.take(connection.close())
    assert not connection.streams
    assert not [thing for thing in _reachable(connection) if isinstance(thing, Stream)]
    assert connection.receive(b"\0" * _FRAME_HEAD_BYTES) == []


def _act(owner: Owner, size: int) -> None:
    connection = owner.connection
    match size % 64:
        case 1:
            connection.pause()
        case 2 | 3:
            owner.take(connection.resume())
        case 4:
            connection.ping()
        case 5:
            connection.goaway(last_stream_id=2**31 - 1)
        case 6:
            connection.goaway()
        case _:
            pass


def _write(owner: Owner) -> int:
    """Takes the output, as the socket does; gives its size."""
    output = b"".join(owner.connection.sender.output)
    owner.connection.sender.output.clear()
    start = 0
    while start < len(output):
        length = int.from_bytes(output[start : start + 3])
        assert length <= owner.largest_frame
        start += _FRAME_HEAD_BYTES + length
    assert start == len(output), "the output is no row of whole frames"
    return len(output)


def kept_bytes(root: object) -> int:
    """How much memory an object holds with all that it refers to."""
    return sum(map(sys.getsizeof, _reachable(root)))


def _reachable(root: object) -> list[object]:
    """An object and all that it refers to, but for code and classes."""
    found = [root]
    seen = {id(root)}
    for thing in found:
        for other in gc.get_referents(thing):
            if id(other) not in seen and not isinstance(other, _CODE):
                seen.add(id(other))
                found.append(other)
    return found
