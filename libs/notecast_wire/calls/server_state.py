"""The state that all connections and calls of a server share."""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from typing import Any, Protocol

from notecast_wire.calls.deadlines import Deadlines
from notecast_wire.calls.peers import Origin
from notecast_wire.calls.read_batching import ReadBatcher
from notecast_wire.calls.request_timeouts import RequestTimeouts
from notecast_wire.fairness.call_shares import CallShares
from notecast_wire.fairness.held_bytes import HeldBytes
from notecast_wire.fairness.shares import Shares
from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.connection import Connection
from notecast_wire.http2.sender import Sender
from notecast_wire.rpc.options import ServerOptions


class ServerState:
    """A server's state while it serves.

    Args:
        loop: the event loop.
        options: the server's options.
        gzip: whether responses are compressed if neither handler nor client objects.

    Attributes:
        call_shares: bounds the calls under way of each client.
        connection_shares: counts the open connections of each client, but not of trusted proxies.
        client_budgets: bounds the protocol abuse of clients behind proxies.
        deadlines: the deadlines of calls.
        request_timeouts: bounds the time for requests to be complete.
        read_batcher: batches received data.
        held_requests: bounds the bytes of requests that were not read yet.
        held_output: bounds the bytes that could not be sent yet.
        open_calls: the number of calls without a status, detached ones included.
        running: the calls whose handlers have not returned.
        stopping: whether new connections are refused.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, options: ServerOptions, *, gzip: bool
    ) -> None:
        self.loop = loop
        self.options = options
        self.gzip = gzip
        self.deadlines = Deadlines(loop)
        self.request_timeouts = RequestTimeouts(loop, options.request_timeout)
        self.read_batcher = ReadBatcher(loop, options.read_batching)
        self.call_shares = CallShares(options.max_calls, options.share_ratios)
        self.connection_shares = Shares(
            "connections", options.max_connections, options.share_ratios
        )
        self.client_budgets = ClientBudgets(options.limits, options.share_ratios, time.monotonic)
        self.held_requests = HeldBytes(
            "bytes of requests that wait",
            options.max_held_request_bytes,
            options.share_ratios,
            loop.call_soon,
        )
        self.held_output = HeldBytes(
            "bytes of answers that wait to be read",
            options.max_held_output_bytes,
            options.share_ratios,
            loop.call_soon,
        )
        self.open_calls = 0
        self.running: set[Any] = set()
        self.stopping = False
        self._connections = count(1)

    def next_connection(self) -> str:
        """Makes a short id for a connection, unique in this server."""
        return f"#{next(self._connections)}"


class ConnectionHandle(Protocol):
    """A client's connection, as its calls see it.

    Attributes:
        connection: its HTTP/2 connection.
        sender: sends its frames.
        server: the server's state.
        origin: its names in the log.
    """

    connection: Connection
    sender: Sender
    server: ServerState
    origin: Origin

    @property
    def transport(self) -> asyncio.BaseTransport:
        """The socket's transport."""

    def wrote(self, size: int) -> bool:
        """Counts bytes that a handler has sent; returns True if it should yield to other tasks."""

    def flush(self) -> None:
        """Writes the output now, not at the end of the turn."""

    def make_room(self) -> None:
        """Raises the transport's buffer limit with the number of streams."""

    def leave(self) -> None:
        """Asks the client to leave, and closes once its calls have finished."""

    def end(self, seconds: float = ...) -> None:
        """Ends the connection and its calls; the client has `seconds` to read how they ended."""


class OpenConnections:
    """The open connections of a server.

    Attributes:
        empty: set while there are none.
    """

    def __init__(self) -> None:
        self.empty = asyncio.Event()
        self.empty.set()
        self._connections: set[ConnectionHandle] = set()

    def __iter__(self) -> Iterator[ConnectionHandle]:
        return iter(self._connections)

    def __len__(self) -> int:
        return len(self._connections)

    def add(self, handle: ConnectionHandle) -> None:
        """Adds a connection."""
        self._connections.add(handle)
        self.empty.clear()

    def discard(self, handle: ConnectionHandle) -> None:
        """Removes a connection."""
        self._connections.discard(handle)
        if not self._connections:
            self.empty.set()
