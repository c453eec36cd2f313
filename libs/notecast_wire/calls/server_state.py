"""What all connections and calls of one server share."""

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
        loop: on which everything runs.
        options: the server's.
        gzip: whether responses are compressed where neither handler nor client objects.

    Attributes:
        call_shares: whose calls are under way.
        connection_shares: counts the open connections of each client, but not of trusted proxies.
        client_budgets: what the clients behind proxies may do wrong.
        deadlines: of its calls.
        request_timeouts: of what its clients have begun to send.
        read_batcher: when what comes is taken.
        held_requests: what has come of requests and is not read yet.
        held_output: what could not be sent yet.
        open_calls: how many calls have no status yet, detached ones included.
        running: the calls whose handlers have not returned.
        stopping: no more connections are taken.
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
        """A short id for a connection: not one of those before."""
        return f"#{next(self._connections)}"


class ConnectionHandle(Protocol):
    """A client's connection, as its calls see it.

    Attributes:
        connection: the HTTP/2 side of it.
        sender: what puts out its frames.
        server: the server's state.
        origin: the names that the log has for it.
    """

    connection: Connection
    sender: Sender
    server: ServerState
    origin: Origin

    @property
    def transport(self) -> asyncio.BaseTransport:
        """The socket's."""

    def wrote(self, size: int) -> bool:
        """Counts what a handler has sent; True where it should let others have a turn."""

    def flush(self) -> None:
        """Writes what was put out, rather than at the end of the turn."""

    def make_room(self) -> None:
        """Lets more wait in the transport, the more streams there are."""

    def leave(self) -> None:
        """Asks the client to go, and closes once its calls have finished."""

    def end(self, seconds: float = ...) -> None:
        """Ends the connection and the calls that it carries; its client has so long to read."""


class OpenConnections:
    """The connections of a server that are open.

    Attributes:
        empty: set while there is none.
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
        """Knows a connection."""
        self._connections.add(handle)
        self.empty.clear()

    def discard(self, handle: ConnectionHandle) -> None:
        """Forgets a connection."""
        self._connections.discard(handle)
        if not self._connections:
            self.empty.set()
