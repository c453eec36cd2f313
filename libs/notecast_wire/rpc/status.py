"""Makes the header blocks of responses and statuses (gRPC PROTOCOL-HTTP2)."""

from typing import Final

from grpc import StatusCode

from notecast_wire.fairness.shares import ShareRefusal
from notecast_wire.http2.errors import WireError
from notecast_wire.http2.header_encoder import encode_headers
from notecast_wire.http2.refusals import TOO_MANY_REQUESTS, Refusal, refuse_plainly
from notecast_wire.rpc.metadata import Headers, percent_encode

GRPC: Final = b"application/grpc"
"""The common prefix of calls' content types."""

ACCEPTED_ENCODINGS: Final = b"identity,gzip"

_RESPONSE: Final[Headers] = [
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", ACCEPTED_ENCODINGS),
]

PLAIN_HEADERS: Final = encode_headers(_RESPONSE)
"""The headers of a response without metadata or compression, as nearly every one has."""

OK_TRAILERS: Final = encode_headers([(b"grpc-status", b"0")])
"""The trailers of a call that ends with OK and has no metadata."""

LATER: Final[Headers] = [(b"grpc-retry-pushback-ms", b"1000")]
"""Tells clients when to retry (gRPC's A6-client-retries) after a temporary overload. Without it
they would be refused again."""

_NUMBERS: Final = {code: b"%d" % code.value[0] for code in StatusCode}


class CallError(WireError):
    """Ends its call with a status.

    Args:
        code: the status.
        details: the text for the client.
        metadata: sent with the status.
    """

    def __init__(self, code: StatusCode, details: str, metadata: Headers | None = None) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details
        self.metadata = metadata or []


def over_share(refusal: ShareRefusal) -> CallError:
    """Makes the error of a call whose client is over its share; it may retry soon."""
    return CallError(StatusCode.RESOURCE_EXHAUSTED, str(refusal), LATER)


_CODES: Final = {code.value[0]: code for code in StatusCode}


def status_code(code: StatusCode | int) -> StatusCode:
    """Returns the code, also for its number, as grpcio does.

    Raises:
        ValueError: there is no such code.
    """
    found = code if isinstance(code, StatusCode) else _CODES.get(code)
    if found is None:
        raise ValueError(f"{code!r} is no status code")
    return found


def response_headers(metadata: Headers, *, gzip: bool) -> bytes:
    """Makes the header block that begins a response."""
    encoding = [(b"grpc-encoding", b"gzip")] if gzip else []
    return encode_headers(_RESPONSE + encoding + metadata)


def trailers(code: StatusCode, details: str, metadata: Headers) -> bytes:
    """Makes the header block that ends a response."""
    if code is StatusCode.OK and not details and not metadata:
        return OK_TRAILERS
    return encode_headers(_status(code, details) + metadata)


def trailers_only(code: StatusCode, details: str, metadata: Headers) -> bytes:
    """Makes the header block of a response that only consists of a status."""
    return encode_headers(_RESPONSE + _status(code, details) + metadata)


def is_grpc(content_type: bytes) -> bool:
    """Whether it is `application/grpc`, with subtype or parameters; not `application/grpc-web`."""
    start, rest = content_type[: len(GRPC)], content_type[len(GRPC) :]
    return start.lower() == GRPC and rest[:1] in (b"", b"+", b";")


def refuse_call(refusal: Refusal) -> bytes:
    """Makes the answer to a request that is refused by its headers: RESOURCE_EXHAUSTED for a call.

    gRPC clients read the gRPC status; of HTTP's answer they only know the number.
    """
    if not is_grpc(refusal.content_type):
        return refuse_plainly(refusal)
    advice = LATER if refusal.status == TOO_MANY_REQUESTS else []
    return trailers_only(StatusCode.RESOURCE_EXHAUSTED, refusal.reason, advice)


def _status(code: StatusCode, details: str) -> Headers:
    number = (b"grpc-status", _NUMBERS[code])
    return [number, (b"grpc-message", percent_encode(details))] if details else [number]
