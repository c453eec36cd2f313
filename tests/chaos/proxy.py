"""A TCP proxy on the loopback that can be told to misbehave.

It forwards bytes as they are, and holds no more of them than asyncio's buffers take: where
one side does not read, it stops reading from the other.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Self

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER: on, zero seconds


class ReplyTrap:
    """Waits for a request, and for its reply, which will not arrive.

    Args:
        request: bytes by which the request is known.
        reply: bytes by which the reply is known; empty: it's whatever comes next.
    """

    def __init__(self, request: bytes, reply: bytes = b"") -> None:
        self.request = request
        self.reply = reply
        self.sprung = asyncio.Event()


class Proxy:
    """Stands in front of one port. Entered, it listens until it is left: `async with Proxy(port)`.

    Args:
        upstream_port: the port on 127.0.0.1 that it stands for.

    Attributes:
        port: where it listens.
        trap: loses one reply; then it is None again.
        dropped: whatever arrives from upstream together with these bytes is dropped.
    """

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._stalled: bytes | None = None
        self._refusing = False
        self.trap: ReplyTrap | None = None
        self.dropped: bytes | None = None
        self.port = 0

    @property
    def redis_url(self) -> str:
        """The URL of the Redis that it stands for, as in NOTECAST_REDIS_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    async def start(self) -> None:
        """Listens on a free port, `port`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Ends all connections, and listens no more."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def stall(self, marker: bytes = b"") -> None:
        """Forwards nothing any more; connections stay open, and new ones are taken.

        Args:
            marker: if given, only connections are stalled on which a client has sent it,
                or sends it now.
        """
        self._stalled = marker
        for link in self._links:
            link.consider_stalling()

    def resume(self) -> None:
        """Forwards again, what came meanwhile first."""
        self._stalled = None
        for link in tuple(self._links):
            link.flow()

    def cut(self) -> None:
        """Resets all connections; new ones are taken."""
        for link in tuple(self._links):
            link.cut()

    def half_open(self) -> None:
        """Drops from now on whatever is sent on the connections of now, which stay open."""
        for link in self._links:
            link.deaf = True

    def cut_half_open(self) -> None:
        """Resets the connections that `half_open` has left."""
        for link in tuple(self._links):
            if link.deaf:
                link.cut()

    def lead_to(self, upstream_port: int) -> None:
        """Connects those who come from now on with another port; the others stay as they are."""
        self._upstream_port = upstream_port

    def refuse(self, *, on: bool) -> None:
        """Resets new connections at once, or takes them again."""
        self._refusing = on

    def stalls(self, link: "_Link") -> bool:
        """Whether the link's bytes are to wait."""
        return self._stalled is not None and self._stalled in link.recent

    def _accept(self) -> asyncio.BaseProtocol:
        link = _Link(self)
        if not self._refusing:
            self._links.add(link)
        return _Side(link.client_connected, link.client_sent, link.client_pressed, link.lost)

    def refuses(self, link: "_Link") -> bool:
        """Whether the link was not taken."""
        return link not in self._links

    def forget(self, link: "_Link") -> None:
        """Takes note of a link's end."""
        self._links.discard(link)

    async def connect(self, side: asyncio.BaseProtocol) -> None:
        """Connects a side to what the proxy stands for; OSError where that refuses."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: side, "127.0.0.1", self._upstream_port)


class _Side(asyncio.Protocol):
    """One of a link's two connections: hands everything to the link."""

    def __init__(
        self,
        connected: Callable[[asyncio.Transport], None],
        sent: Callable[[bytes], None],
        pressed: Callable[[bool], None],
        lost: Callable[[], None],
    ) -> None:
        self._connected = connected
        self._sent = sent
        self._pressed = pressed
        self._lost = lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._connected(transport)

    def data_received(self, data: bytes) -> None:
        self._sent(data)

    def pause_writing(self) -> None:
        self._pressed(True)  # noqa: FBT003 - asyncio's own pair of callbacks, as one

    def resume_writing(self) -> None:
        self._pressed(False)  # noqa: FBT003 - as above

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._lost()


_MEMORY_BYTES = 512 * 1024
"""More than what is asked first on each new connection, before what tells them apart."""


class _Link:
    """A client's connection and the one that was made for it."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._client: asyncio.Transport | None = None
        self._upstream: asyncio.Transport | None = None
        self._client_waits = self._upstream_waits = False
        self._stalled = False
        self._expecting: ReplyTrap | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.deaf = False
        self.recent = bytearray()
        """The first bytes that the client sent."""

    def client_connected(self, transport: asyncio.Transport) -> None:
        self._client = transport
        if self._proxy.refuses(self):
            self.cut()
            return
        transport.pause_reading()  # until there is somebody to forward to
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        side = _Side(
            self._upstream_connected, self._upstream_sent, self._upstream_pressed, self.lost
        )
        try:
            await self._proxy.connect(side)
        except OSError:
            self.cut()

    def _upstream_connected(self, transport: asyncio.Transport) -> None:
        self._upstream = transport
        if self._client is None or self._client.is_closing():
            self.cut()
            return
        self._stalled = self._proxy.stalls(self)
        self._set_reading()

    def client_sent(self, data: bytes) -> None:
        if self.deaf or self._upstream is None:
            return
        if len(self.recent) < _MEMORY_BYTES:
            self.recent += data
        trap = self._proxy.trap
        if trap is not None and trap.request in data:
            self._proxy.trap, self._expecting = None, trap
        self._upstream.write(data)
        self.consider_stalling()

    def _upstream_sent(self, data: bytes) -> None:
        dropped = self._proxy.dropped
        if self.deaf or self._client is None or (dropped is not None and dropped in data):
            return
        if self._expecting is not None and self._expecting.reply in data:
            self._expecting.sprung.set()
            self.cut()
            return
        self._client.write(data)

    def consider_stalling(self) -> None:
        if not self._stalled and self._proxy.stalls(self):
            self._stalled = True
            self._set_reading()

    def flow(self) -> None:
        self._stalled = False
        self._set_reading()

    def client_pressed(self, waits: bool) -> None:  # noqa: FBT001 - as asyncio tells it
        self._upstream_waits = waits
        self._set_reading()

    def _upstream_pressed(self, waits: bool) -> None:  # noqa: FBT001 - as asyncio tells it
        self._client_waits = waits
        self._set_reading()

    def _set_reading(self) -> None:
        for transport, waits in (
            (self._client, self._client_waits or self._upstream is None),
            (self._upstream, self._upstream_waits),
        ):
            if transport is None or transport.is_closing():
                continue
            if waits or self._stalled:
                transport.pause_reading()
            else:
                transport.resume_reading()

    def lost(self) -> None:
        """One side is gone: what it sent still goes to the other, which is then closed.

        Not where the link is half-open: the other side must not learn of it.
        """
        if self.deaf:
            return
        self._proxy.forget(self)
        if self._connecting is not None:
            self._connecting.cancel()
        for transport in (self._client, self._upstream):
            if transport is not None:
                transport.close()

    def cut(self) -> None:
        """Resets both sides."""
        self._proxy.forget(self)
        for transport in (self._client, self._upstream):
            if transport is not None and not transport.is_closing():
                with contextlib.suppress(OSError):
                    transport.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
                    )
                transport.abort()
