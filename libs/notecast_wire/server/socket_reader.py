"""How much of one client's bytes is taken before others have their turn."""

import asyncio
from typing import Final

from notecast_wire.server.closing import abort

_TURN_BYTES: Final = 65_536
"""After so many bytes in one turn of the loop others are read."""

_MAX_DROPPED_BYTES: Final = 1_048_576
"""What a client may have been sending while its connection was closed, and is not looked at."""


class SocketReader:
    """Counts what comes from one socket.

    Args:
        loop: whose turns they are.

    Attributes:
        transport: the socket's; given before anything comes.
    """

    __slots__ = ("_at", "_bytes", "_dropped_bytes", "_loop", "transport")

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._at = 0.0
        self._bytes = 0
        self._dropped_bytes = 0

    def took(self, size: int, now: float) -> None:
        """Lets other connections have their turn: uvloop reads on for as long as something comes.

        Its clock stands still meanwhile, which tells one turn from the next.
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
        """Waits no longer for a client to close its side that goes on sending."""
        self._dropped_bytes += size
        if self._dropped_bytes > _MAX_DROPPED_BYTES:
            abort(self.transport)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()
