"""Makes a gRPC server with health and reflection, binds it, and waits for signals."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress

import structlog
from google.protobuf.descriptor import ServiceDescriptor
from grpc import aio
from grpc_health.v1 import health_pb2

from notecast_runtime.health import Health
from notecast_runtime.health_service import HealthServicer
from notecast_runtime.reflection import add_reflection
from notecast_runtime.registration import add_service
from notecast_runtime.standard_streams import MAX_STREAMS, StandardStreams
from notecast_runtime.transports import ServerTransport, WireServerTransport
from notecast_wire.fairness.shares import UNDIVIDED, Shares

_log = structlog.get_logger(__name__)

_HEALTH: ServiceDescriptor = health_pb2.DESCRIPTOR.services_by_name["Health"]  # type: ignore[assignment]  # the stubs name its C twin

_HINT = (
    "end what serves there, or choose another address with NOTECAST_LISTEN_HOST or"
    " NOTECAST_LISTEN_PORT"
)
_SIGNALLED = 128
"""Added by shells to the number of the signal that ended a program."""


def create_server(
    health: Health,
    services: Iterable[str],
    transport: ServerTransport | None = None,
    streams: StandardStreams | None = None,
) -> aio.Server:
    """Adds health and reflection to a transport's server; the caller registers its own services.

    Args:
        health: the state that the health service reports.
        services: full names of the caller's services, for reflection.
        transport: the transport with the server. None: `wire`, with its default bounds.
        streams: bounds the streams of health and reflection. The caller that stops the server
            closes it. None: a bound of their own.
    """
    transport = transport or WireServerTransport()
    if streams is None:
        streams = StandardStreams(Shares("streams", MAX_STREAMS, UNDIVIDED), transport.client_of)
    server = transport.server
    add_service(server, _HEALTH, HealthServicer(health, streams))
    add_reflection(server, (*services, _HEALTH.full_name), streams)
    return server


def listen(server: aio.Server, host: str, port: int) -> int:
    """Binds the server; returns the port, which the system chooses if `port` is 0.

    Raises:
        SystemExit: the port is taken or needs privileges, or the host is no address of this
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
    """Returns an event that the first SIGTERM or SIGINT sets.

    The second one ends the process at once, with 128 plus its number as the exit code. This needs
    a handler: in a container the service may be process 1, for which the kernel drops signals
    without a handler (pid_namespaces(7)).
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heed(number: signal.Signals) -> None:
        if stop.is_set():
            _log.warning("ended_at_once", signal=number.name)
            _flush()
            os._exit(_SIGNALLED + number)
        stop.set()  # first: a log that blocks must not keep the process
        _log.info("asked_to_end", signal=number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heed, number)
    return stop


def _flush() -> None:
    for output in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            output.flush()
