"""Requests that are refused by their headers alone, and what plain HTTP says of that."""

from collections.abc import Callable
from typing import Final, NamedTuple

from notecast_wire.http2.header_encoder import encode_headers

TOO_MANY_REQUESTS: Final = b"429"
"""RFC 6585, 4."""
HEADERS_TOO_LARGE: Final = b"431"
"""RFC 6585, 5."""


class Refusal(NamedTuple):
    """Why a request is refused.

    Attributes:
        status: of HTTP.
        content_type: the request's; empty where it is not known.
        reason: for people; never holds a value that the peer has sent.
    """

    status: bytes
    content_type: bytes
    reason: str


Refuse = Callable[[Refusal], bytes]
"""Makes the header block that is the whole answer to a refused request."""


def refuse_plainly(refusal: Refusal) -> bytes:
    """The status of HTTP, and nothing else."""
    return encode_headers([(b":status", refusal.status)])
