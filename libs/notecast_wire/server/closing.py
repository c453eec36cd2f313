"""Closes sockets so that nothing of them stays."""

import asyncio
import socket
import struct
from typing import Final

_RESET: Final = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER


def abort(transport: asyncio.Transport) -> None:
    """Closes the socket at once, and makes the system drop unread data.

    Otherwise it would keep megabytes for minutes, for a client that reads nothing.
    """
    if not transport.is_closing() or transport.get_write_buffer_size():
        plug = transport.get_extra_info("socket")
        if plug is not None:
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def half_close(transport: asyncio.Transport) -> None:
    """Closes the socket for writing, after what was written, and goes on reading.

    If data of the client were unread, for example a window update, closing would reset the
    connection, and drop what the client has not read yet. TLS has its own closing message.
    """
    if not transport.can_write_eof():
        transport.close()
        return
    try:
        transport.write_eof()
    except OSError:  # the client has reset it
        transport.abort()
