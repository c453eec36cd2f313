"""Bounds the bytes of one client that are read before others have their turn."""

import asyncio
from typing import Final

from notecast_wire.server.closing import abort

_TURN_BYTES: Final = 65_536
"""After this many bytes in one turn of the event loop, other sockets are read."""

_MAX_DROPPED_BYTES: Final = 1_048_576
"""Bound on the bytes that a client may still send to a closing connection; they are dropped."""


class SocketReader:
    """Counts the bytes that come from one socket.

    Args:
        loop: the event loop.

    Attributes:
        transport: the socket's transport; set before data come.
    """

    __slots__ = ("_at", "_bytes", "_dropped_bytes", "_loop", "transport")

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._at = 0.0
        self._bytes = 0
        self._dropped_bytes = 0

    def took(self, size: int, now: float) -> None:
        """Lets other connections have their turn: uvloop reads on as long as data come.

        Its clock does not move within a turn, which tells turns apart.
        """
        if now != self._at:
            self._at = now
            self._bytes = 0
        self._bytes += size
        if self._bytes > _TURN_BYTES:
            self._bytes = 0
            self.transport.pause_reading()
            self._loop.call_soon(self._read_on)

    def dropped(self, size: int) -> None:
        """Aborts a closing connection whose client goes on sending."""
        self._dropped_bytes += size
        if self._dropped_bytes > _MAX_DROPPED_BYTES:
            abort(self.transport)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
