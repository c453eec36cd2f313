"""Chooses the ports of the stack: two that clients know, and free ones for the rest."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from notecast_local.errors import PortTakenError
from notecast_local.settings import HOST, LocalSettings

_PROXY_HOST = "127.0.0.2"
_FIRST_GATEWAY_PORT = 50051
_HIGHEST_PORT = 65535


@dataclass(frozen=True)
class StackPorts:
    """The ports on `HOST`, by the part that listens there."""

    clients: int
    tutorial: int
    envoy_admin: int
    valkey: int
    history: int
    gateways: tuple[int, ...]


def proxy_address() -> str:
    """Returns the address from which Envoy connects to gateways.

    It differs from `HOST`, from which local clients come, so gateways that trust it don't trust
    these. A local program can still bind to it: this does not protect the processes of a machine
    from each other. It is `HOST` if there is no second loopback address (macOS by default).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((_PROXY_HOST, 0))
        except OSError:
            return HOST
    return _PROXY_HOST


def choose_ports(settings: LocalSettings) -> StackPorts:
    """Checks the given ports, and chooses free ones for the rest.

    All are held until all are chosen, so that no two are equal. Those of the gateways begin at
    50051, so that a client that connects directly finds them again.

    Raises:
        PortTakenError: a given port can't be used.
    """
    with ExitStack() as held:
        for port, purpose, variable in (
            (settings.port, "for clients", "NOTECAST_PORT"),
            (settings.tutorial_port, "for clients of the tutorial", "NOTECAST_TUTORIAL_PORT"),
        ):
            try:
                held.enter_context(_listening_on(port))
            except OSError as error:
                fault = (
                    "another program listens there"
                    if error.errno == errno.EADDRINUSE
                    else os.strerror(error.errno or 0)
                )
                raise PortTakenError(port, purpose, variable, fault) from None
        gateways = _free_from(_FIRST_GATEWAY_PORT, held)
        return StackPorts(
            clients=settings.port,
            tutorial=settings.tutorial_port,
            gateways=tuple(next(gateways) for _ in range(settings.gateways)),
            envoy_admin=_any_free(held),
            valkey=_any_free(held),
            history=_any_free(held),
        )


def _listening_on(port: int) -> socket.socket:
    """Listens on a port (0: any); raises OSError if it can't be used."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Connections of an earlier stack may still linger on a free port (TIME_WAIT).
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener


def _any_free(held: ExitStack) -> int:
    port: int = held.enter_context(_listening_on(0)).getsockname()[1]
    return port


def _free_from(first: int, held: ExitStack) -> Iterator[int]:
    for port in range(first, _HIGHEST_PORT + 1):
        try:
            held.enter_context(_listening_on(port))
        except OSError:
            continue
        yield port
