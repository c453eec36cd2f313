"""How what a connection puts out gets into its socket."""

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
"""After so many bytes in one turn of the loop they are written, and others have a turn."""

_SOCKET_BYTES: Final = 65_536
_SOCKET_BYTES_PER_STREAM: Final = 2_048
_MAX_SOCKET_BYTES: Final = 2_097_152
"""What may wait in the transport before the socket counts as full; a fan-out to many streams of
one connection puts out much at once, and should not fall apart for that."""

_MAX_SQUEEZED_BYTES: Final = 1_048_576
"""What a client that reads nothing may have us answer (statuses, PINGs) before it is cut off."""


class SocketWriter:
    """Writes what a connection puts out during a turn of the loop, at its end.

    Args:
        loop: whose turns they are.

    Attributes:
        connection: whose output it is; given before anything is put out, as are the next two.
        transport: the socket's.
        origin: the names that the log has for the connection.
        flushed_bytes: what was written so far.
        on_flushed: called after each time that something was to be written, if anything.
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
        """Has what is put out from now on written at the end of this turn."""
        self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Writes what was put out, unless the socket is closed."""
        if self.connection.sender.output and not self.transport.is_closing():
            self.connection.answer_pings_along()
            self._turn_bytes = 0
            self._write()
        if self.on_flushed is not None:
            self.on_flushed()

    def wrote(self, size: int) -> bool:
        """Counts what a handler has sent; True where it should let others have a turn."""
        self._turn_bytes += size
        if self._turn_bytes < _TURN_BYTES:
            return False
        self.flush()
        return True

    def make_room(self) -> None:
        """Lets more wait in the transport, the more streams there are."""
        wanted = _SOCKET_BYTES + _SOCKET_BYTES_PER_STREAM * len(self.connection.streams)
        if wanted > 2 * self._socket_bytes and self._socket_bytes < _MAX_SOCKET_BYTES:
            self._socket_bytes = min(wanted, _MAX_SOCKET_BYTES)
            self.transport.set_write_buffer_limits(self._socket_bytes)

    def resume(self) -> None:
        """The client reads again."""
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
        """Bounds what is put out although the socket takes no more: all but DATA is."""
        self._squeezed_bytes += size
        if self._squeezed_bytes > _MAX_SQUEEZED_BYTES * self.connection.patience:
            reason = "the client reads nothing and goes on asking"
            _log.info("connection_ended", reason=reason, **self.origin.fields())
            abort(self.transport)


def _pieces(output: list[bytes]) -> Iterator[bytes]:
    """What is put out, in pieces that are neither small nor huge; one that is alone as it is."""
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
