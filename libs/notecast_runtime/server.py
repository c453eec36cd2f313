"""A gRPC server's life: made, started, served until a signal, stopped within its grace."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Literal, cast

import structlog
from google.protobuf.descriptor import ServiceDescriptor
from grpc import aio
from grpc_health.v1 import health_pb2

import notecast_wire
from notecast_runtime.health import Health
from notecast_runtime.health_service import HealthServicer
from notecast_runtime.open_files import most_connections
from notecast_runtime.reflection import add_reflection
from notecast_runtime.registration import add_service
from notecast_runtime.standard_streams import MAX_STREAMS, ClientOf, Context, StandardStreams
from notecast_runtime.status import ErrorInterceptor
from notecast_wire.calls.context import Context as WireContext
from notecast_wire.fairness.clients import NO_PROXIES, ClientId, TrustedProxies
from notecast_wire.fairness.shares import UNDIVIDED, ShareRatios, Shares

_log = structlog.get_logger(__name__)

_HEALTH: ServiceDescriptor = health_pb2.DESCRIPTOR.services_by_name["Health"]  # type: ignore[assignment]  # the stubs name its C twin

_OPTIONS = (
    # A second process on the same port must fail, not share it unseen.
    ("grpc.so_reuseport", 0),
    # Clients may ping each 10 s, also without a call, or they would be sent away (too_many_pings).
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)

_WIRE_OPTIONS = (
    *_OPTIONS,
    # A busy server takes requests together: a turn for each would cost it twice as much. A gateway
    # whose next round of delivery begins later makes it longer.
    ("notecast_wire.read_batching_ms", 10),
)


HELD_OUTPUT_BYTES: Final = 67_108_864
"""How much of answers that nobody reads a server holds, unless it is told otherwise."""

MAX_CALLS: Final = 10_000
"""How many calls that are no streams a server has under way, unless it is told otherwise."""

MAX_CONNECTIONS: Final = 20_000
"""The most connections that a server has open, unless it is told otherwise."""

_HINT = (
    "end what serves there, or choose another address with NOTECAST_LISTEN_HOST or"
    " NOTECAST_LISTEN_PORT"
)
_SIGNALLED = 128
"""What shells add to a signal's number to tell that it ended a program."""

TransportName = Literal["wire", "grpcio"]
"""A server of our own, or that of grpcio; they have the same interface."""


def create_server(
    health: Health,
    services: Iterable[str],
    transport: TransportName = "grpcio",
    trusted_proxies: TrustedProxies = NO_PROXIES,
    share_ratios: ShareRatios = UNDIVIDED,
    streams: StandardStreams | None = None,
    held_output_bytes: int = HELD_OUTPUT_BYTES,
    max_calls: int = MAX_CALLS,
    max_connections: int = MAX_CONNECTIONS,
) -> aio.Server:
    """A server with health and reflection, on which the caller registers its own services.

    Args:
        health: what the health service answers.
        services: full names of the services to come, for reflection.
        transport: which server.
        trusted_proxies: peers that say whom their requests come from.
        share_ratios: how much of what clients share one of them may hold; all of it, unless they
            are not of one house.
        streams: where watches of health and reflection have their places; whoever stops the
            server closes it. None: places of their own.
        held_output_bytes: how much may be held of answers that nobody reads; of `wire` alone.
        max_calls: how many calls that are no streams may be under way; of `wire` alone.
        max_connections: the most connections that may be open. Fewer where this process may open
            too few files; of `wire` alone.
    """
    interceptors = (ErrorInterceptor(),)
    if streams is None:
        shares = Shares("streams", MAX_STREAMS, share_ratios)
        streams = StandardStreams(shares, client_of(transport, trusted_proxies))
    server: aio.Server
    if transport == "wire":
        server = notecast_wire.server(
            interceptors=interceptors,
            options=(
                *_WIRE_OPTIONS,
                ("notecast_wire.max_held_output_bytes", held_output_bytes),
                ("notecast_wire.max_calls", max_calls),
                ("notecast_wire.max_connections", min(max_connections, most_connections())),
            ),
            trusted_proxies=trusted_proxies,
            share_ratios=share_ratios,
        )
    else:
        server = aio.server(interceptors=interceptors, options=_OPTIONS)
    add_service(server, _HEALTH, HealthServicer(health, streams))
    add_reflection(server, (*services, _HEALTH.full_name), streams)
    return server


def client_of(transport: TransportName, proxies: TrustedProxies) -> ClientOf:
    """What says whom the calls of a server come from: an address and one of its connections.

    Behind a trusted proxy it is the client that the proxy names. On grpcio's server, connections
    through Unix sockets can't be told apart.

    Args:
        transport: which server it is.
        proxies: whose word about it counts.
    """

    def of_wire(context: Context) -> ClientId:
        return cast("WireContext", context).client()

    def of_grpcio(context: Context) -> ClientId:
        return proxies.client_of_call(context.peer(), context.invocation_metadata() or ())

    return of_wire if transport == "wire" else of_grpcio


def listen(server: aio.Server, host: str, port: int) -> int:
    """Binds the server; returns the port, which is chosen where 0 is asked for.

    Raises:
        SystemExit: the port is taken or not ours to take, or the host is no address of this
            machine; the log says which. Exit code 1.
    """
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        # notecast_wire says why in the cause; grpcio does not know.
        _log.error(
            "cannot_listen", address=address, error=str(error.__cause__ or error), hint=_HINT
        )
        raise SystemExit(1) from None


def stop_on_signals() -> asyncio.Event:
    """An event that the first SIGTERM or SIGINT sets, from now on.

    The second one ends the process at once, with 128 and its number as the exit code. That is
    said here rather than left to the system: in a container the service may be process 1,
    for which the kernel drops signals that have no handler (pid_namespaces(7)).
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heed(number: signal.Signals) -> None:
        if stop.is_set():
            _log.warning("ended_at_once", signal=number.name)
            _flush()
            os._exit(_SIGNALLED + number)
        stop.set()  # first: a log that nobody reads any more must not keep the process
        _log.info("asked_to_end", signal=number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heed, number)
    return stop


def _flush() -> None:
    for output in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            output.flush()
