"""Binds listening sockets to addresses in gRPC's formats."""

import contextlib
import os
import socket
import stat
from pathlib import Path

_UNIX = "unix:"
_BACKLOG = 1_024
_UNIX_PORT = 1  # as grpcio


class Listener:
    """The bound, listening sockets of one address; connections wait until they are served.

    Attributes:
        port: the port, or 1 for a Unix socket.
        sockets: one for each address that the name resolves to.
    """

    def __init__(self, sockets: list[socket.socket], port: int, path: Path | None = None) -> None:
        self.sockets = sockets
        self.port = port
        self._path = path

    def close(self) -> None:
        """Closes the sockets, and removes the file of a Unix socket."""
        for listening in self.sockets:
            listening.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def listen(address: str) -> Listener:
    """Binds an address exclusively: a second server on it fails here, not when it starts.

    Args:
        address: `host:port`, `[v6]:port`, or `unix:path` (`unix:///path`). For port 0 the system
            chooses one. `[::]` also accepts IPv4.

    Raises:
        RuntimeError: the address is taken, not permitted, or invalid.
    """
    try:
        if address.startswith(_UNIX):
            return _listen_unix(Path(address.removeprefix(_UNIX).removeprefix("//")))
        return _listen_tcp(*_host_and_port(address))
    except (OSError, ValueError) as error:
        raise RuntimeError(f"Failed to bind to address {address}: {error}") from error


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 0xFFFF:
        raise ValueError("not host:port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address needs brackets")
    if not host:
        raise ValueError("no host")
    return host, int(port)


def _listen_tcp(host: str, port: int) -> Listener:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            # For port 0 the system chooses once, for the first one.
            sockets.append(_bound_tcp(family, (address[0], port, *address[2:])))
            port = sockets[-1].getsockname()[1]
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return Listener(sockets, port)


def _bound_tcp(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    # asyncio only sets TCP_NODELAY if the socket itself says that it is TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Lets a new server follow an old one at once. It does not share the port (SO_REUSEPORT).
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            every = 0 if address[0] == "::" else 1
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, every)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _listen_unix(path: Path) -> Listener:
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(os.fspath(path))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return Listener([listening], _UNIX_PORT, path)


def _remove_stale(path: Path) -> None:
    """Removes a socket without a listener, such as a killed server leaves behind."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(os.fspath(path))
            except ConnectionRefusedError:
                path.unlink()
