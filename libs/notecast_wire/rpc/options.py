"""Reads the server's options, under gRPC's names (grpc_types.h)."""

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from notecast_wire.fairness.clients import NO_PROXIES, TrustedProxies
from notecast_wire.fairness.shares import ShareRatios
from notecast_wire.http2.limits import ConnectionLimits

_INT_MAX: Final = 2**31 - 1  # gRPC's "never" and "unlimited"
_NEVER: Final = float("inf")
_AGE_JITTER: Final = 0.1  # gRPC's (A9-server-side-conn-mgt)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The bounds and times of a server. All times are in seconds.

    Attributes:
        max_receive_message_bytes: bound on a received message, compressed and decompressed.
        max_send_message_bytes: bound on a sent message, before compression.
        max_held_request_bytes: bound on the bytes held of all clients' requests that are
            incomplete, or not read yet by their handlers.
        max_held_output_bytes: bound on the bytes held of all clients' unread answers.
        max_connections: bound on all clients' connections. Those of trusted proxies don't count.
        max_calls: bound on all clients' calls under way that are answered with one message, or
            whose request is incomplete.
        keepalive_time: the time without data after which the server sends a PING.
        keepalive_timeout: the time after that PING without data after which the connection ends.
        keepalive_without_calls: whether clients may ping without a call as often as with one,
            not only every two hours; and whether the server does.
        min_ping_interval: the shortest allowed time between two PINGs of a client.
        max_ping_strikes: how many PINGs may come too early; 0: any number.
        max_connection_age: the age at which a client is asked to open another connection; it
            varies by ± 10 %.
        max_connection_age_grace: how long its calls may go on after that.
        max_connection_idle: the time without a call after which a connection ends.
        read_batching: how long received data waits for more while several calls are under way;
            0: never.
        handshake_timeout: bound on TLS, and then on the client's preface and settings.
        request_timeout: bound on the time for what a client has begun to send to be complete: a
            frame, a header block, the request of a method that takes one message, or a message of
            a stream.
        limits: the bounds of each HTTP/2 connection.
        trusted_proxies: the proxies that may name a request's client.
        share_ratios: how much of what clients share one of them may hold.
    """

    max_receive_message_bytes: int = 4 * 1024 * 1024
    max_send_message_bytes: int = _INT_MAX
    max_held_request_bytes: int = 64 * 1024 * 1024
    max_held_output_bytes: int = 64 * 1024 * 1024
    max_connections: int = 20_000
    max_calls: int = 10_000
    keepalive_time: float = 7_200.0
    keepalive_timeout: float = 20.0
    keepalive_without_calls: bool = False
    min_ping_interval: float = 300.0
    max_ping_strikes: int = 2
    max_connection_age: float = _NEVER
    max_connection_age_grace: float = _NEVER
    max_connection_idle: float = _NEVER
    read_batching: float = 0.0
    handshake_timeout: float = 20.0
    request_timeout: float = 20.0
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    trusted_proxies: TrustedProxies = NO_PROXIES
    share_ratios: ShareRatios = field(default_factory=ShareRatios)

    def jittered_age(self) -> float:
        """Draws the age at which a connection is to end, so that not all end together."""
        spread = random.uniform(-_AGE_JITTER, _AGE_JITTER)  # noqa: S311 - no secret
        return self.max_connection_age * (1 + spread)


@dataclass(frozen=True, slots=True)
class _Option:
    """One option: the attribute that it sets, its least value, and its conversion."""

    attribute: str
    least: int
    convert: Callable[[int], object]
    of_limits: bool = False


def _seconds(milliseconds: int) -> float:
    return _NEVER if milliseconds == _INT_MAX else milliseconds / 1_000


def _bound(size: int) -> int:
    return _INT_MAX if size == -1 else size


_OPTIONS: Final[Mapping[str, _Option]] = {
    "grpc.max_receive_message_length": _Option("max_receive_message_bytes", -1, _bound),
    "grpc.max_send_message_length": _Option("max_send_message_bytes", -1, _bound),
    "grpc.keepalive_time_ms": _Option("keepalive_time", 1, _seconds),
    "grpc.keepalive_timeout_ms": _Option("keepalive_timeout", 1, _seconds),
    "grpc.keepalive_permit_without_calls": _Option("keepalive_without_calls", 0, bool),
    "grpc.http2.min_ping_interval_without_data_ms": _Option("min_ping_interval", 0, _seconds),
    "grpc.http2.max_ping_strikes": _Option("max_ping_strikes", 0, int),
    "grpc.max_connection_age_ms": _Option("max_connection_age", 1, _seconds),
    "grpc.max_connection_age_grace_ms": _Option("max_connection_age_grace", 0, _seconds),
    "grpc.max_connection_idle_ms": _Option("max_connection_idle", 1, _seconds),
    "grpc.server_handshake_timeout_ms": _Option("handshake_timeout", 1, _seconds),
    "grpc.max_concurrent_streams": _Option("max_concurrent_streams", 1, int, of_limits=True),
    "grpc.max_metadata_size": _Option("max_header_list_bytes", 1, int, of_limits=True),
    "grpc.http2.lookahead_bytes": _Option("stream_window_bytes", 1, int, of_limits=True),
    "notecast_wire.read_batching_ms": _Option("read_batching", 0, _seconds),
    "notecast_wire.request_timeout_ms": _Option("request_timeout", 1, _seconds),
    "notecast_wire.max_held_request_bytes": _Option("max_held_request_bytes", 1, int),
    "notecast_wire.max_held_output_bytes": _Option("max_held_output_bytes", 1, int),
    "notecast_wire.max_connections": _Option("max_connections", 1, int),
    "notecast_wire.max_calls": _Option("max_calls", 1, int),
}


def read_options(
    pairs: Iterable[tuple[str, Any]],
    trusted_proxies: TrustedProxies = NO_PROXIES,
    share_ratios: ShareRatios | None = None,
) -> ServerOptions:
    """Reads options from pairs of names and values; the last value of a repeated one counts.

    `grpc.so_reuseport` may only be 0: servers never share a port here.

    Args:
        pairs: options as gRPC takes them.
        trusted_proxies: see `ServerOptions`.
        share_ratios: see `ServerOptions`; None: the default.

    Raises:
        ValueError: an unknown name, or a value out of bounds; says which.
    """
    own: dict[str, Any] = {}
    of_limits: dict[str, Any] = {}
    for name, value in pairs:
        if name == "grpc.so_reuseport" and value == 0:
            continue
        option = _OPTIONS.get(name)
        if option is None:
            raise ValueError(f"unknown option {name} = {value!r}")
        if not isinstance(value, int) or not option.least <= value <= _INT_MAX:
            raise ValueError(f"{name} = {value!r} is not from {option.least} to {_INT_MAX}")
        (of_limits if option.of_limits else own)[option.attribute] = option.convert(value)
    return ServerOptions(
        **own,
        limits=ConnectionLimits(**of_limits),
        trusted_proxies=trusted_proxies,
        share_ratios=share_ratios or ShareRatios(),
    )
