"""The settings of a gateway."""

from pydantic import Field, field_validator

from chat_gateway.api.validation import MAX_NAME_BYTES, RequestLimits, room_fault
from chat_gateway.streams.drain_times import DrainTimes
from notecast_runtime.settings import ServiceSettings
from notecast_runtime.transports import (
    HELD_OUTPUT_BYTES,
    MAX_CALLS,
    MAX_CONNECTIONS,
    ServerBounds,
    TransportName,
)
from notecast_wire import ShareRatios, TrustedProxies

_CONNECTIONS_PER_STREAM = 2  # a client may have another connection for its calls


class GatewaySettings(ServiceSettings):
    """Read from the environment, each as NOTECAST_ and its name in capitals."""

    transport: TransportName = Field(
        default="wire", description="the gRPC server: notecast_wire, or that of grpcio"
    )
    trusted_proxies: str = Field(
        default="",
        description="the proxies that are believed when they name a call's client: networks"
        " (10.0.0.0/8), addresses and the word unix, separated by commas; empty: none, and every"
        " peer is a client itself",
    )
    trusted_hops: int = Field(
        default=1,
        ge=1,
        le=16,
        description="the number of these proxies that a call passes: the client's address is so"
        " many entries from the right of x-forwarded-for",
    )
    client_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="the part of what all clients share that one address may hold (an IPv6 network"
        " of 64 bits counts as one); 1: all",
    )
    connection_share: float = Field(
        default=0.25,
        gt=0,
        le=1,
        description="the same for one connection of an address: many people may share an address;"
        " 1: all",
    )
    history_target: str = Field(
        default="127.0.0.1:50052",
        min_length=1,
        description="gRPC target of the history service; dns:///history:50052 for all its replicas",
    )
    tutorial_room: str = Field(
        default="lobby",
        min_length=1,
        max_length=MAX_NAME_BYTES,
        description="the room of the tutorial's service; a name as the protocol has it",
    )
    max_text_bytes: int = Field(
        default=16_384, ge=1, le=262_144, description="bound on a note's text, in bytes of UTF-8"
    )
    max_rooms_per_stream: int = Field(
        default=64, ge=1, le=1_024, description="bound on the rooms of one subscription"
    )
    idempotency_window_seconds: float = Field(
        default=300,
        ge=1,
        le=86_400,
        description="time for which a note's id is remembered: a send that is repeated within it"
        " makes no second note",
    )
    ring_notes: int = Field(
        default=1_024, ge=1, le=65_536, description="newest notes kept in memory for each open room"
    )
    ring_bytes: int = Field(
        default=1_048_576,
        ge=1_024,
        le=67_108_864,
        description="bound on the same notes, in bytes; the newest note stays whatever its size",
    )
    rings_bytes: int = Field(
        default=268_435_456,
        ge=65_536,
        le=68_719_476_736,
        description="bound on the notes kept in memory for all open rooms together, in bytes;"
        " the rooms that have been quiet for longest give theirs up first",
    )
    max_open_rooms: int = Field(
        default=10_000, ge=1, le=1_000_000, description="bound on the rooms that have readers here"
    )
    max_streams: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="bound on the streams open here; sends and health checks do not count",
    )
    max_calls: int = Field(
        default=MAX_CALLS,
        ge=1,
        le=1_000_000,
        description="bound on the calls under way here, streams apart; NOTECAST_CLIENT_SHARE and"
        " NOTECAST_CONNECTION_SHARE set the part of one client and of one connection. No effect if"
        " NOTECAST_TRANSPORT is grpcio",
    )
    held_output_bytes: int = Field(
        default=HELD_OUTPUT_BYTES,
        ge=1_048_576,
        le=68_719_476_736,
        description="bound on the answers and messages held for clients that do not read them, in"
        " bytes; NOTECAST_CLIENT_SHARE and NOTECAST_CONNECTION_SHARE set the part of one client and"
        " of one connection. No effect if NOTECAST_TRANSPORT is grpcio",
    )
    slow_reader_seconds: float = Field(
        default=60,
        ge=0.1,
        le=3_600,
        description="longest time in which a client that has notes to read reads none; then its"
        " stream ends",
    )

    stream_lifetime_seconds: float = Field(
        default=1_800,
        ge=0,
        le=604_800,
        description="age, 20 % more or less, at which a stream is sent to another gateway, so that"
        " new gateways get their share; 0: never",
    )
    drain_notice_seconds: float = Field(
        default=2,
        ge=0,
        le=120,
        description="at the end, first: time in which all is served while load balancers find out",
    )
    drain_spread_seconds: float = Field(
        default=3,
        ge=0,
        le=240,
        description="at the end, then: time over which streams are sent elsewhere",
    )

    @field_validator("tutorial_room")
    @classmethod
    def _is_a_room(cls, value: str) -> str:
        if fault := room_fault(value):
            raise ValueError(fault)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_proxies(cls, value: str) -> str:
        TrustedProxies.parse(value)  # ValueError for an entry that is no network
        return value

    def proxies(self) -> TrustedProxies:
        """The proxies that may name a call's client."""
        return TrustedProxies.parse(self.trusted_proxies, self.trusted_hops)

    def share_ratios(self) -> ShareRatios:
        """The shares of one client and of one connection."""
        return ShareRatios(self.client_share, self.connection_share)

    def server_bounds(self) -> ServerBounds:
        """The bounds on the clients of the gateway's server."""
        return ServerBounds(
            self.proxies(),
            self.share_ratios(),
            self.held_output_bytes,
            self.max_calls,
            max(MAX_CONNECTIONS, _CONNECTIONS_PER_STREAM * self.max_streams),
        )

    def drain_times(self) -> DrainTimes:
        """The times of a drain's steps."""
        return DrainTimes.within(
            self.shutdown_grace_seconds, self.drain_notice_seconds, self.drain_spread_seconds
        )

    def request_limits(self) -> RequestLimits:
        """The bounds on requests."""
        return RequestLimits(self.max_text_bytes, self.max_rooms_per_stream)
