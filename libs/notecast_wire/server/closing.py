"""How a socket is closed so that nothing of it stays."""

import asyncio
import socket
import struct
from typing import Final

_RESET: Final = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER


def abort(transport: asyncio.Transport) -> None:
    """Closes the socket at once, and has the system forget what nobody has read of it.

    Else it would keep megabytes for a client that reads nothing, for minutes.
    """
    if not transport.is_closing() or transport.get_write_buffer_size():
        plug = transport.get_extra_info("socket")
        if plug is not None:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def half_close(transport: asyncio.Transport) -> None:
    """Closes the socket for writing, behind what was written, and goes on reading.

    Were something of the client's unread, a window update for example, closing would reset the
    connection, and with that drop what the client has not read yet. TLS has its own farewell.
    """
    if not transport.can_write_eof():
        transport.close()
        return
    try:
        transport.write_eof()
    except OSError:  # the client has reset it
        transport.abort()
