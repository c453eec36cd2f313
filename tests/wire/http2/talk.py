"""What is said in a call, and what of it is heard at the other end."""

from notecast_wire.http2.stream import Stream

STATUS = [(b":status", b"200"), (b"content-type", b"application/grpc")]
TRAILERS = [(b"grpc-status", b"0")]
Fields = list[tuple[bytes, bytes]]


class Call:
    """What was said on one stream, and what of it was heard."""

    def __init__(self, stream_id: int, headers: Fields) -> None:
        self.id = stream_id
        self.headers = headers
        self.stream: Stream | None = None
        self.asked = bytearray()
        self.heard_request: Fields = []
        self.heard_body = bytearray()
        self.heard_end = False
        self.client_ended = False
        self.client_reset = False
        self.told = bytearray()
        self.answered = False
        self.server_ended = False
        self.server_reset = False
        self.heard_status: Fields = []
        self.heard_answer = bytearray()
        self.heard_trailers = False
        self.heard_reset = False

    @property
    def reset(self) -> bool:
        return self.client_reset or self.server_reset


def body(size: int, start: int) -> bytes:
    """Octets that tell where in a body they belong."""
    return bytes((start + i) % 251 for i in range(size))


def plain(headers: object) -> Fields:
    return [(bytes(name), bytes(value)) for name, value in headers]  # type: ignore[attr-defined]


def check(call: Call) -> None:
    """What was heard is what was said: all of it, or of a call that was cut off, its beginning."""
    if call.stream is not None:
        assert call.heard_request == call.headers
    assert call.asked.startswith(call.heard_body)
    assert call.told.startswith(call.heard_answer)
    if call.reset:
        return
    if not call.server_ended:
        assert call.heard_end == call.client_ended
    if call.heard_end or not call.server_ended:  # else the answer cut the request off
        assert call.heard_body == call.asked
    assert call.heard_answer == call.told
    assert call.heard_trailers == call.server_ended
    assert call.heard_status == (STATUS if call.answered else [])
