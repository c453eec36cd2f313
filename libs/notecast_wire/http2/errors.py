"""Faults in what a peer sends.

- WireError
  - H2ConnectionError: the connection ends with GOAWAY
  - H2StreamError: one stream ends with RST_STREAM, the others go on
"""

from notecast_wire.fairness.clients import ClientId
from notecast_wire.http2.codes import ErrorCode


class WireError(Exception):
    """The base of every error of this package."""


class H2ConnectionError(WireError):
    """The peer broke a rule that the whole connection depends on (RFC 9113, 5.4.1).

    Args:
        code: what GOAWAY says.
        reason: for logs and for GOAWAY's debug data; never holds what the peer sent.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(f"{code.name}: {reason}")
        self.code = code
        self.reason = reason


class H2StreamError(WireError):
    """The peer broke a rule that concerns one stream (RFC 9113, 5.4.2).

    Args:
        stream_id: the stream, which may be one that is not open.
        code: what RST_STREAM says.
        reason: for logs; never holds what the peer sent.

    Attributes:
        client: whose request it was, where no stream was opened for it.
    """

    client: ClientId | None = None

    def __init__(self, stream_id: int, code: ErrorCode, reason: str) -> None:
        super().__init__(f"stream {stream_id}: {code.name}: {reason}")
        self.stream_id = stream_id
        self.code = code
        self.reason = reason
