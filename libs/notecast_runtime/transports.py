"""The gRPC servers that a service may run on, with what only they know of their calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from grpc import aio

import notecast_wire
from notecast_runtime.open_files import most_connections
from notecast_runtime.standard_streams import Context
from notecast_runtime.status import ErrorInterceptor
from notecast_wire.calls.context import Context as WireContext
from notecast_wire.fairness.clients import NO_PROXIES, ClientId, TrustedProxies
from notecast_wire.fairness.shares import UNDIVIDED, ShareRatios

TransportName = Literal["wire", "grpcio"]
"""`notecast_wire`'s server, or grpcio's; they have the same interface."""

HELD_OUTPUT_BYTES: Final = 67_108_864
"""Default bound on unread answers that a server holds, in bytes."""

MAX_CALLS: Final = 10_000
"""Default bound on calls under way that are no streams."""

MAX_CONNECTIONS: Final = 20_000
"""Default bound on open connections."""

_OPTIONS = (
    # A second process on the same port must fail, not share it silently.
    ("grpc.so_reuseport", 0),
    # Clients may ping every 10 s, even without a call; otherwise they get too_many_pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

_WIRE_OPTIONS = (
    *_OPTIONS,
    # A busy server batches requests: a turn for each would cost it twice as much. A gateway whose
    # next round of delivery begins later waits longer.
    ("notecast_wire.read_batching_ms", 10),
)


@dataclass(frozen=True, slots=True)
class ServerBounds:
    """Bounds on the clients of a server. All but the first only apply to `wire`.

    Attributes:
        trusted_proxies: peers that name the clients of their requests.
        share_ratios: how much of what clients share one of them may hold. By default all, for
            clients of one operator.
        held_output_bytes: bound on unread answers.
        max_calls: bound on calls under way that are no streams.
        max_connections: bound on open connections; lower if this process may open too few files.
    """

    trusted_proxies: TrustedProxies = NO_PROXIES
    share_ratios: ShareRatios = UNDIVIDED
    held_output_bytes: int = HELD_OUTPUT_BYTES
    max_calls: int = MAX_CALLS
    max_connections: int = MAX_CONNECTIONS


class ServerTransport(Protocol):
    """A server, and the client of each of its calls.

    Attributes:
        server: the server, not started yet when this is made. It translates `NotecastError`.
    """

    server: aio.Server

    def client_of(self, context: Context) -> ClientId:
        """Returns the client of a call: an address and one of its connections.

        Behind a trusted proxy it is the client that the proxy names.

        Args:
            context: the context of a call of this server.
        """


def wire_context(context: Context) -> WireContext:
    """Casts a context to that of `notecast_wire`.

    Raises:
        TypeError: the call is of another server.
    """
    if not isinstance(context, WireContext):
        raise TypeError(f"{type(context).__name__} is no context of notecast_wire")
    return context


class WireServerTransport(ServerTransport):
    """A server of `notecast_wire`.

    Args:
        bounds: on its clients.
    """

    server: notecast_wire.Server

    def __init__(self, bounds: ServerBounds = ServerBounds()) -> None:
        most = min(bounds.max_connections, most_connections())
        self.server = notecast_wire.server(
            interceptors=_interceptors(),
            options=(
                *_WIRE_OPTIONS,
                ("notecast_wire.max_held_output_bytes", bounds.held_output_bytes),
                ("notecast_wire.max_calls", bounds.max_calls),
                ("notecast_wire.max_connections", most),
            ),
            trusted_proxies=bounds.trusted_proxies,
            share_ratios=bounds.share_ratios,
        )

    def client_of(self, context: Context) -> ClientId:
        """Returns the client of a call; see `ServerTransport.client_of`."""
        return wire_context(context).client()


class GrpcioServerTransport(ServerTransport):
    """A server of `grpc.aio`.

    Connections through Unix sockets can't be told apart here.

    Args:
        bounds: on its clients.
    """

    def __init__(self, bounds: ServerBounds = ServerBounds()) -> None:
        self.server = aio.server(interceptors=_interceptors(), options=_OPTIONS)
        self._proxies = bounds.trusted_proxies

    def client_of(self, context: Context) -> ClientId:
        """Returns the client of a call; see `ServerTransport.client_of`."""
        return self._proxies.client_of_call(context.peer(), context.invocation_metadata() or ())


def _interceptors() -> Sequence[aio.ServerInterceptor]:
    return (ErrorInterceptor(),)
