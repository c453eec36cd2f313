"""Metadata and gRPC's own headers, between Python and the wire (gRPC PROTOCOL-HTTP2)."""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import quote

from notecast_wire.http2.errors import WireError

Headers = list[tuple[bytes, bytes]]
"""Names in lower case and values, as a header block carries them."""

Metadata = Iterable[tuple[str, str | bytes]]
"""What callers give: pairs, or a grpc.aio.Metadata. Values are bytes under a name in `-bin`."""


class Metadatum(NamedTuple):
    """One entry of a call's metadata: `value` is bytes where `key` ends with `-bin`."""

    key: str
    value: str | bytes


class MalformedMetadataError(WireError):
    """The client sent metadata under a `-bin` name that is no Base64."""


class MalformedTimeoutError(WireError):
    """The client sent a grpc-timeout that is none."""


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
    """The seconds that a grpc-timeout gives: a number of at most 8 digits, and a unit.

    Zero is taken too, as a deadline that has passed.

    Raises:
        MalformedTimeoutError: it is something else.
    """
    digits = value[:-1]
    unit = _UNIT_SECONDS.get(value[-1]) if value else None
    if unit is None or not digits.isdigit() or len(digits) > _MAX_TIMEOUT_DIGITS:
        raise MalformedTimeoutError("malformed grpc-timeout")
    return int(digits) * unit


# What belongs to the transport or to gRPC itself (Call-Definition), and what HTTP/2 forbids
# (RFC 9113, 8.2.2). `grpc-status-details-bin` and other grpc-…-bin are applications' own.
_RESERVED: Final = frozenset(
    b"connection content-length content-type grpc-accept-encoding grpc-encoding grpc-message "
    b"grpc-status grpc-timeout host keep-alive proxy-connection te transfer-encoding "
    b"upgrade".split()
)
_NAME: Final = re.compile(rb"[0-9a-z_.-]+")
_TEXT: Final = re.compile(rb"[ -~]*")


def decode_metadata(headers: Headers) -> tuple[Metadatum, ...]:
    """The metadata among a request's headers, in the order sent, repeated names included.

    A value with anything but printable ASCII is left out, which the specification allows
    ("throw the value away"): handed on, it could not be sent again.

    Raises:
        MalformedMetadataError: a value under a `-bin` name is not Base64.
    """
    metadata = []
    for name, value in headers:
        if name in _RESERVED or name.startswith(b":"):
            continue
        if name.endswith(b"-bin"):
            key = name.decode("ascii")
            # Several values may have been joined into one, by proxies for example.
            metadata += [Metadatum(key, _from_base64(name, part)) for part in value.split(b",")]
        elif _TEXT.fullmatch(value) and name.isascii():
            metadata.append(Metadatum(name.decode("ascii"), value.decode("ascii")))
    return tuple(metadata)


def _from_base64(name: bytes, value: bytes) -> bytes:
    """Padded or not: both must be taken."""
    value = value.strip()
    try:
        return b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        raise MalformedMetadataError(
            f"metadata {name.decode('ascii', 'replace')} is not Base64"
        ) from None


def encode_metadata(metadata: Metadata) -> Headers:
    """Metadata as headers, binary values as Base64 without padding.

    Raises:
        ValueError: a name or value that may not be sent; names it, and not the value.
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
    """A status's details as grpc-message carries them: UTF-8, percent-encoded.

    Space at either end is encoded too, though gRPC would leave it: HTTP/2 has no field
    value that begins or ends with it (RFC 9113, 8.2.1).
    """
    encoded = quote(details, _UNENCODED, errors="replace")
    if encoded != (inner := encoded.strip(" ")):
        begin = encoded.index(inner) if inner else len(encoded)
        end = len(encoded) - begin - len(inner)
        encoded = "%20" * begin + inner + "%20" * end
    return encoded.encode("ascii")
