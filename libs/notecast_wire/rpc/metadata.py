"""Encodes and decodes metadata and gRPC's own headers (gRPC PROTOCOL-HTTP2)."""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import quote

from notecast_wire.http2.errors import WireError

Headers = list[tuple[bytes, bytes]]
"""Lower-case names and values, as a header block carries them."""

Metadata = Iterable[tuple[str, str | bytes]]
"""Pairs, or a grpc.aio.Metadata. Values under a `-bin` name are bytes."""


class Metadatum(NamedTuple):
    """One entry of a call's metadata: `value` is bytes if `key` ends with `-bin`."""

    key: str
    value: str | bytes


class MalformedMetadataError(WireError):
    """The client sent a `-bin` value that is not Base64."""


class MalformedTimeoutError(WireError):
    """The client sent a malformed grpc-timeout."""


_UNIT_SECONDS: Final = {
    ord("H"): 3600.0,
    ord("M"): 60.0,
    ord("S"): 1.0,
    ord("m"): 1e-3,
    ord("u"): 1e-6,
    ord("n"): 1e-9,
}
_MAX_TIMEOUT_DIGITS = 8


def parse_timeout(value: bytes) -> float:
    """Parses a grpc-timeout, a number of at most 8 digits and a unit, into seconds.

    Also accepts zero, as a deadline that has passed.

    Raises:
        MalformedTimeoutError: it has another form.
    """
    digits = value[:-1]
    unit = _UNIT_SECONDS.get(value[-1]) if value else None
    if unit is None or not digits.isdigit() or len(digits) > _MAX_TIMEOUT_DIGITS:
        raise MalformedTimeoutError("malformed grpc-timeout")
    return int(digits) * unit


# Headers of the transport or of gRPC itself (Call-Definition), and those that HTTP/2 forbids
# (RFC 9113, 8.2.2). `grpc-status-details-bin` and other grpc-…-bin belong to applications.
_RESERVED: Final = frozenset(
    b"connection content-length content-type grpc-accept-encoding grpc-encoding grpc-message "
    b"grpc-status grpc-timeout host keep-alive proxy-connection te transfer-encoding "
    b"upgrade".split()
)
_NAME: Final = re.compile(rb"[0-9a-z_.-]+")
_TEXT: Final = re.compile(rb"[ -~]*")


def decode_metadata(headers: Headers) -> tuple[Metadatum, ...]:
    """Decodes the metadata in a request's headers, in the order sent, with repeated names.

    Leaves out a value that is not printable ASCII, as the specification allows ("throw the value
    away"): if passed on, it could not be sent again.

    Raises:
        MalformedMetadataError: a value under a `-bin` name is not Base64.
    """
    metadata = []
    for name, value in headers:
        if name in _RESERVED or name.startswith(b":"):
            continue
        if name.endswith(b"-bin"):
            key = name.decode("ascii")
            # Proxies, for example, may have joined several values into one.
            metadata += [Metadatum(key, _from_base64(name, part)) for part in value.split(b",")]
        elif _TEXT.fullmatch(value) and name.isascii():
            metadata.append(Metadatum(name.decode("ascii"), value.decode("ascii")))
    return tuple(metadata)


def _from_base64(name: bytes, value: bytes) -> bytes:
    """Decodes Base64 with or without padding: both must be accepted."""
    value = value.strip()
    try:
        return b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        raise MalformedMetadataError(
            f"metadata {name.decode('ascii', 'replace')} is not Base64"
        ) from None


def encode_metadata(metadata: Metadata) -> Headers:
    """Encodes metadata as headers, binary values as Base64 without padding.

    Raises:
        ValueError: a name or value may not be sent; the error names the key, not the value.
        TypeError: a value under a `-bin` name is not bytes.
    """
    return [_header(key, value) for key, value in metadata]


def _header(key: str, value: str | bytes) -> tuple[bytes, bytes]:
    name = key.encode("ascii", "replace")
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ValueError(f"metadata key {key!r} may not be sent")
    if name.endswith(b"-bin"):
        if not isinstance(value, bytes):
            raise TypeError(f"metadata {key} must be bytes")
        return name, b64encode(value).rstrip(b"=")
    octets = value if isinstance(value, bytes) else value.encode("ascii", "replace")
    if not _TEXT.fullmatch(octets) or (isinstance(value, str) and not value.isascii()):
        raise ValueError(f"the value of metadata {key} is not printable ASCII")
    # A field value with space around it is malformed (RFC 9113, 8.2.1).
    return name, octets.strip()


_UNENCODED: Final = "".join(chr(code) for code in range(0x20, 0x7F)).replace("%", "")


def percent_encode(details: str) -> bytes:
    """Encodes a status's details for grpc-message: UTF-8, percent-encoded.

    Also encodes spaces at either end, though gRPC would not: in HTTP/2 no field value begins or
    ends with a space (RFC 9113, 8.2.1).
    """
    encoded = quote(details, _UNENCODED, errors="replace")
    if encoded != (inner := encoded.strip(" ")):
        begin = encoded.index(inner) if inner else len(encoded)
        end = len(encoded) - begin - len(inner)
        encoded = "%20" * begin + inner + "%20" * end
    return encoded.encode("ascii")
