"""TLS for the server."""

import os
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path

_PROTOCOL = "h2"  # RFC 9113, 3.2


def ssl_server_credentials(
    private_key_certificate_chain_pairs: Sequence[tuple[bytes, bytes]],
    root_certificates: bytes | None = None,
    *,
    require_client_auth: bool = False,
) -> ssl.SSLContext:
    """Makes a context for `Server.add_secure_port`: TLS ≥ 1.2 that only offers HTTP/2.

    It takes the arguments of `grpc.ssl_server_credentials`. The object which that makes
    belongs to grpcio's core and can't be read, so it does not work here. A context made
    elsewhere does, as long as it offers `h2` by ALPN.

    Args:
        private_key_certificate_chain_pairs: PEM; more than one for keys of several types.
        root_certificates: PEM, of the authorities that may sign clients' certificates.
        require_client_auth: whether clients must present a certificate; needs the roots.

    Raises:
        ValueError: no pair was given, or clients' certificates are wanted without roots.
        ssl.SSLError: a key, certificate or root is invalid, or a pair does not match.
    """
    if not private_key_certificate_chain_pairs:
        raise ValueError("at least one private key and certificate chain must be given")
    if require_client_auth and root_certificates is None:
        raise ValueError("clients' certificates can't be judged without root certificates")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9113, 9.2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION  # RFC 9113, 9.2.1
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")  # RFC 9113, 9.2.2
    context.set_alpn_protocols([_PROTOCOL])
    for key, chain in private_key_certificate_chain_pairs:
        _load_pair(context, key, chain)
    if root_certificates is not None:
        context.load_verify_locations(cadata=root_certificates.decode("ascii"))
    if require_client_auth:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load_pair(context: ssl.SSLContext, key: bytes, chain: bytes) -> None:
    """Through a file, since `ssl` reads keys from nothing else; only its owner may read it."""
    descriptor, name = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + b"\n" + chain)
        context.load_cert_chain(name)
    finally:
        Path(name).unlink()


def negotiated_http2(tls: ssl.SSLObject) -> bool:
    """Whether client and server have agreed on HTTP/2."""
    return tls.selected_alpn_protocol() == _PROTOCOL
