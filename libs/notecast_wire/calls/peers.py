"""Names the peer of a connection, in grpcio's format and for the log."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from notecast_wire.fairness.clients import ClientId

AuthContext = Mapping[str, tuple[bytes, ...]]

_SUBJECT_ALTERNATIVE_NAME = "x509_subject_alternative_name"
_COMMON_NAME = "x509_common_name"

_INSECURE: AuthContext = {
    "transport_security_type": (b"insecure",),
    "security_level": (b"TSI_SECURITY_NONE",),
}


class Origin(NamedTuple):
    """A connection, as log lines name it.

    Attributes:
        peer: the peer's address; see `peer_name`.
        connection: the connection's short id, unique in the server; empty if the server has none.
        proxied: whether the peer is a trusted proxy, with many clients.
    """

    peer: str
    connection: str = ""
    proxied: bool = False

    def fields(self, client: ClientId | None = None) -> dict[str, str]:
        """The fields of a log line.

        Args:
            client: the client that the line is about, if any; named if the peer is a proxy.
        """
        fields = {"peer": unquote(self.peer)}
        if self.connection:
            fields["connection"] = self.connection
        if client is not None and self.proxied:
            fields["client"] = client.address
        return fields


def peer_name(host: str | None, port: str) -> str:
    """Makes `ipv4:1.2.3.4:5`, `ipv6:%5B::1%5D:5` or `unix:` of what `peer_address` gives."""
    if host is None:
        return "unix:"
    if ":" in host:
        return f"ipv6:%5B{quote(host, safe=':')}%5D:{port}"
    return f"ipv4:{host}:{port}"


def peer_address(transport: asyncio.BaseTransport) -> tuple[str | None, str]:
    """The peer's IP address and port; None and an empty string on a Unix socket."""
    address: Any = transport.get_extra_info("peername")
    return (address[0], str(address[1])) if isinstance(address, tuple) else (None, "")


def auth_context(transport: asyncio.BaseTransport) -> AuthContext:
    """The client's identity: the names in its certificate, if it has presented one."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return _INSECURE
    context: dict[str, tuple[bytes, ...]] = {
        "transport_security_type": (b"ssl",),
        "security_level": (b"TSI_PRIVACY_AND_INTEGRITY",),
    }
    certificate: Any = tls.getpeercert()
    der = tls.getpeercert(binary_form=True)
    if not certificate or not der:
        return context
    subject = [pair for part in certificate["subject"] for pair in part]
    names = {
        _COMMON_NAME: tuple(value.encode() for name, value in subject if name == "commonName"),
        _SUBJECT_ALTERNATIVE_NAME: tuple(
            value.encode() for _, value in certificate.get("subjectAltName", ())
        ),
        "x509_pem_cert": (ssl.DER_cert_to_PEM_cert(der).encode(),),
    }
    return context | {key: values for key, values in names.items() if values}


def identity_key(context: AuthContext) -> str | None:
    """The entry of an auth context that names the client; None where nothing does."""
    for key in (_SUBJECT_ALTERNATIVE_NAME, _COMMON_NAME):
        if context.get(key):
            return key
    return None
