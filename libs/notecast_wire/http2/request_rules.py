"""Which header lists are well-formed requests (RFC 9113, 8.2 and 8.3)."""

import re
from typing import Final

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.errors import H2StreamError

_PLAIN, _PSEUDO, _CONNECTION, _CONTENT_LENGTH, _TE, _HOST = range(6)

_KINDS: Final = {
    **dict.fromkeys((b":method", b":scheme", b":path", b":authority"), _PSEUDO),
    **dict.fromkeys(
        (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"),
        _CONNECTION,
    ),
    b"content-length": _CONTENT_LENGTH,
    b"te": _TE,
    b"host": _HOST,
    # What gRPC clients send, so that nothing needs to be looked at twice.
    **dict.fromkeys(
        (
            b"content-type",
            b"user-agent",
            b"authorization",
            b"grpc-timeout",
            b"grpc-encoding",
            b"grpc-accept-encoding",
            b"accept-encoding",
        ),
        _PLAIN,
    ),
}
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110, 5.6.2, without upper case
_VALUE_OCTETS: Final = bytes(octet for octet in range(256) if octet not in (0x00, 0x0A, 0x0D))
_VISIBLE_OCTETS: Final = bytes(range(0x21, 0x7F))
_SPACES: Final = b" \t"
_MAX_LENGTH_DIGITS: Final = 18


def check_request(stream_id: int, headers: list[tuple[bytes, bytes]]) -> int:
    """Checks a request's header list.

    Returns:
        The announced content-length, -1 where there is none.

    Raises:
        H2StreamError: PROTOCOL_ERROR; the request is malformed (RFC 9113, 8.1.1).
    """
    pseudo: dict[bytes, bytes] = {}
    special: list[tuple[int, bytes]] = []
    past_pseudo = False
    for name, value in headers:
        kind = _KINDS.get(name)
        if kind == _PSEUDO:
            if past_pseudo or name in pseudo:
                raise _malformed(stream_id, "pseudo-header field repeated or after regular fields")
            pseudo[name] = value
            continue
        past_pseudo = True
        if kind is None:
            _check_name(stream_id, name)
        elif kind:
            special.append((kind, value))
    _check_values(stream_id, headers)
    _check_pseudo(stream_id, pseudo)
    return _check_special(stream_id, special, pseudo.get(b":authority")) if special else -1


def check_trailers(stream_id: int, headers: list[tuple[bytes, bytes]]) -> None:
    """Checks the trailers of a request: fields as others, and none of them a pseudo header.

    Raises:
        H2StreamError: PROTOCOL_ERROR.
    """
    for name, _ in headers:
        kind = _KINDS.get(name)
        if kind is None:
            _check_name(stream_id, name)
        elif kind in (_PSEUDO, _CONNECTION):
            raise _malformed(stream_id, "field not allowed in trailers")
    _check_values(stream_id, headers)


def _check_name(stream_id: int, name: bytes) -> None:
    if _TOKEN.fullmatch(name) is None:
        raise _malformed(stream_id, "invalid field name")


def _check_values(stream_id: int, headers: list[tuple[bytes, bytes]]) -> None:
    unusual = b"".join([value for _, value in headers]).translate(None, _VISIBLE_OCTETS)
    if not unusual:  # no space anywhere, so none at a value's ends
        return
    if unusual.translate(None, _VALUE_OCTETS):
        raise _malformed(stream_id, "invalid octets in a field value")
    for _, value in headers:
        if value and (value[0] in _SPACES or value[-1] in _SPACES):
            raise _malformed(stream_id, "field value begins or ends with whitespace")


def _check_pseudo(stream_id: int, pseudo: dict[bytes, bytes]) -> None:
    method = pseudo.get(b":method")
    path = pseudo.get(b":path")
    if method == b"CONNECT":  # RFC 9113, 8.5
        if path is not None or b":scheme" in pseudo or b":authority" not in pseudo:
            raise _malformed(stream_id, "CONNECT with :path or without :authority")
    elif not method or not path or not pseudo.get(b":scheme"):
        raise _malformed(stream_id, "missing pseudo-header field")
    elif path[0] != 0x2F and (method, path) != (b"OPTIONS", b"*"):
        raise _malformed(stream_id, ":path does not begin with a slash")


def _check_special(
    stream_id: int, special: list[tuple[int, bytes]], authority: bytes | None
) -> int:
    length = -1
    for kind, value in special:
        if kind == _CONNECTION:
            raise _malformed(stream_id, "connection-specific field")
        if kind == _TE and value.lower() != b"trailers":
            raise _malformed(stream_id, "TE with a value other than trailers")
        if kind == _HOST and authority is not None and value.lower() != authority.lower():
            raise _malformed(stream_id, "Host differs from :authority")
        if kind == _CONTENT_LENGTH:
            if not value.isdigit() or len(value) > _MAX_LENGTH_DIGITS or length >= 0:
                raise _malformed(stream_id, "invalid or repeated content-length")
            length = int(value)
    return length


def _malformed(stream_id: int, reason: str) -> H2StreamError:
    return H2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, reason)
