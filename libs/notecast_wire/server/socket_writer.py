"""Writes a connection's output to its socket."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from notecast_wire.calls.peers import Origin
from notecast_wire.http2.connection import Connection
from notecast_wire.http2.sender import PIECE_BYTES
from notecast_wire.server.closing import abort

_log = structlog.get_logger(__name__)

_TURN_BYTES: Final = 65_536
"""After this many bytes in one turn of the event loop, they are written, and others have a turn."""

_SOCKET_BYTES: Final = 65_536
_SOCKET_BYTES_PER_STREAM: Final = 2_048
_MAX_SOCKET_BYTES: Final = 2_097_152
"""Bound on the transport's buffer, above which the socket counts as full. A fan-out to many streams
of one connection has much output at once, which should not split it."""

_MAX_SQUEEZED_BYTES: Final = 1_048_576
"""Bound on answers (statuses, PINGs) to a client that reads nothing, before it is cut off."""


class SocketWriter:
    """Writes a connection's output of a turn of the event loop, at the end of the turn.

    Args:
        loop: the event loop.

    Attributes:
        connection: the connection; set before there is output, like the next two.
        transport: the socket's transport.
        origin: the connection's names in the log.
        flushed_bytes: the number of bytes written so far.
        on_flushed: called after each flush; None: nothing is.
    """

    __slots__ = (
        "_loop",
        "_socket_bytes",
        "_squeezed_bytes",
        "_turn_bytes",
        "connection",
        "flushed_bytes",
        "on_flushed",
        "origin",
        "transport",
    )

    connection: Connection
    transport: asyncio.Transport
    origin: Origin

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.flushed_bytes = 0
        self.on_flushed: Callable[[], None] | None = None
        self._loop = loop
        self._turn_bytes = 0
        self._squeezed_bytes = 0
        self._socket_bytes = 0

    def schedule(self) -> None:
        """Schedules a flush at the end of this turn."""
        self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Writes the output, unless the socket is closed."""
        if self.connection.sender.output and not self.transport.is_closing():
            self.connection.answer_pings_along()
            self._turn_bytes = 0
            self._write()
        if self.on_flushed is not None:
            self.on_flushed()

    def wrote(self, size: int) -> bool:
        """Counts bytes that a handler has sent; returns True if it should yield to other tasks."""
        self._turn_bytes += size
        if self._turn_bytes < _TURN_BYTES:
            return False
        self.flush()
        return True

    def make_room(self) -> None:
        """Raises the transport's buffer limit with the number of streams."""
        wanted = _SOCKET_BYTES + _SOCKET_BYTES_PER_STREAM * len(self.connection.streams)
        if wanted > 2 * self._socket_bytes and self._socket_bytes < _MAX_SOCKET_BYTES:
            self._socket_bytes = min(wanted, _MAX_SOCKET_BYTES)
            self.transport.set_write_buffer_limits(self._socket_bytes)

    def resume(self) -> None:
        """Resets the bound on answers: the client reads again."""
        self._squeezed_bytes = 0

    def _write(self) -> None:
        sender = self.connection.sender
        output = sender.output
        was_full = sender.congested  # it may become so while we write
        size = 0
        for piece in _pieces(output):
            self.transport.write(piece)
            size += len(piece)
        output.clear()
        self.flushed_bytes += size
        if was_full:
            self._squeeze(size)

    def _squeeze(self, size: int) -> None:
        """Bounds the output to a full socket: everything but DATA."""
        self._squeezed_bytes += size
        if self._squeezed_bytes > _MAX_SQUEEZED_BYTES * self.connection.patience:
            reason = "the client reads nothing and goes on asking"
            _log.info("connection_ended", reason=reason, **self.origin.fields())
            abort(self.transport)


def _pieces(output: list[bytes]) -> Iterator[bytes]:
    """Yields the output in pieces that are neither small nor huge; a single piece as it is."""
    if len(output) == 1:
        yield output[0]
        return
    pieces: list[bytes] = []
    size = 0
    for data in output:
        pieces.append(data)
        size += len(data)
        if size >= PIECE_BYTES:
            yield b"".join(pieces)
            pieces.clear()
            size = 0
    if pieces:
        yield b"".join(pieces)
