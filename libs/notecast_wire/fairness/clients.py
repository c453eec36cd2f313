"""Identifies the client of a call: an address and one of its connections, also behind proxies.

A proxy carries many clients on one connection, so the socket does not tell them apart. A trusted
proxy names the client of each request: `x-forwarded-for` has the address, `x-notecast-connection`
the client's connection with the proxy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple
from urllib.parse import unquote

Headers = Sequence[tuple[bytes, bytes]]

FORWARDED_FOR: Final = b"x-forwarded-for"
"""Each proxy appends the address of its caller."""
CONNECTION: Final = b"x-notecast-connection"
"""The number of the client's connection with the last proxy, which overwrites this header."""
UNIX: Final = "unix"
"""The address of every Unix socket: its clients are on this machine."""

_IPV6_CLIENT_BITS: Final = 64
"""The smallest network that a provider assigns; a client chooses the rest freely (RFC 6177, 2)."""
_MAX_ENTRY_BYTES: Final = 64
_MAX_CONNECTION_BYTES: Final = 64
_MAX_REMEMBERED: Final = 4_096


class ClientId(NamedTuple):
    """A client, and one connection of it.

    Attributes:
        address: an IPv4 address, an IPv6 network of 64 bits, or `unix`.
        connection: which of the address's connections. Empty if unknown: they can't be told apart,
            and only the bound of the address applies. Only compared, never parsed.
    """

    address: str
    connection: str


class Peer:
    """The peer of a connection: one client, or a trusted proxy with many.

    Args:
        own: the client of the connection itself.
        host: its exact address.
        hops: the number of trusted proxies that a request has passed; 0: the peer is the client.

    Attributes:
        own: as given.
        proxied: whether each request has a client of its own.
    """

    __slots__ = ("_hops", "_host", "_known", "own", "proxied")

    def __init__(self, own: ClientId, host: str = "", hops: int = 0) -> None:
        self.own = own
        self.proxied = hops > 0
        self._host = host
        self._hops = hops
        self._known: dict[tuple[bytes, bytes], ClientId] = {}

    def client_of(self, headers: Headers) -> ClientId:
        """Finds the client of a request on this connection.

        Args:
            headers: the request's headers, in order. Ignored unless the peer is trusted.
        """
        if not self.proxied:
            return self.own
        said = _said_by_proxies(headers, self._hops)
        client = self._known.get(said)
        if client is None:
            client = self._derived(*said)
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            if len(said[0]) <= _MAX_ENTRY_BYTES and len(said[1]) <= _MAX_CONNECTION_BYTES:
                self._known[said] = client
        return client

    def _derived(self, entry: bytes, connection: bytes) -> ClientId:
        address = _forwarded_address(entry)
        if connection and len(connection) <= _MAX_CONNECTION_BYTES:
            # Two proxies may use the same numbers for connections.
            label = f"{self._host}/{connection.decode('latin-1')}"
        else:
            label = "" if address else self.own.connection
        return ClientId(address or self.own.address, label)


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies that may name a request's client.

    Attributes:
        networks: the networks of the proxies' addresses.
        unix: whether peers on Unix sockets are proxies too.
        hops: the number of proxies that a request passes. The first of them has written the
            client's address: this many entries from the right of `x-forwarded-for`.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    unix: bool = False
    hops: int = 1

    @classmethod
    def parse(cls, text: str, hops: int = 1) -> "TrustedProxies":
        """Reads networks and addresses separated by commas, and the word `unix`.

        Args:
            text: `10.0.0.0/8, 192.0.2.7, 2001:db8::/32, unix`; empty for nobody.
            hops: see the attribute; at least 1.

        Raises:
            ValueError: an entry is none of these, or a network has bits set after its prefix.
        """
        if hops < 1:
            raise ValueError(f"{hops} hops are less than 1")
        entries = [entry.strip() for entry in text.split(",")] if text.strip() else []
        networks = tuple(ip_network(entry) for entry in entries if entry != UNIX)
        return cls(networks, UNIX in entries, hops)

    def peer(self, host: str | None, connection: str) -> Peer:
        """Makes the peer of a connection.

        Args:
            host: its IP address; None on a Unix socket.
            connection: tells this connection from others of the same address.
        """
        if host is None:
            return Peer(ClientId(UNIX, connection), UNIX, self.hops if self.unix else 0)
        address = _ip(host)
        if address is None:
            return Peer(ClientId(host, connection), host)
        trusted = any(address in network for network in self.networks)
        own = ClientId(_client_address(address), connection)
        return Peer(own, str(address), self.hops if trusted else 0)

    def client_of_call(self, peer: str, metadata: Iterable[tuple[str, str | bytes]]) -> ClientId:
        """Finds the client of a call of `grpc.aio`, which only has a peer and metadata.

        Args:
            peer: the result of `ServicerContext.peer()`.
            metadata: the result of `ServicerContext.invocation_metadata()`.
        """
        kind, _, rest = unquote(peer).partition(":")
        if kind not in ("ipv4", "ipv6"):
            end = self.peer(None, "")
        else:
            host, _, port = rest.rpartition(":")
            end = self.peer(host.strip("[]"), port)
        if not end.proxied:
            return end.own
        return end.client_of([(key.encode("latin-1"), _octets(value)) for key, value in metadata])


NO_PROXIES: Final = TrustedProxies()
"""Every peer is a client itself."""


def _said_by_proxies(headers: Headers, hops: int) -> tuple[bytes, bytes]:
    """The entry of `x-forwarded-for` that counts, and the connection; empty if there is none.

    Searches from the end, because proxies append. What the client itself has sent under these names
    is further left, or was overwritten.
    """
    missing = hops
    entry = connection = b""
    for name, value in reversed(headers):
        if name == FORWARDED_FOR:
            if missing:
                entries = value.rsplit(b",", missing)
                if len(entries) >= missing:
                    entry, missing = entries[-missing], 0
                else:
                    missing -= len(entries)
        elif name == CONNECTION and not connection:
            connection = value
        else:
            continue
        if not missing and connection:
            break
    return entry, connection


def _forwarded_address(entry: bytes) -> str | None:
    """Parses the client's address in an entry, which may have a port; None if there is none."""
    text = entry.strip().decode("latin-1")
    if not text or len(text) > _MAX_ENTRY_BYTES:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    address = _ip(text)
    return None if address is None else _client_address(address)


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    """Parses an IP address, without its zone; an IPv4-mapped one becomes IPv4."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _client_address(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), _IPV6_CLIENT_BITS), strict=False))


def _octets(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")
