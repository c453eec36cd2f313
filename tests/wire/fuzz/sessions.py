"""What well-behaved clients send, recorded from the `h2` library: where mutations begin."""

import gzip
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

_CALL: Final = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Bytes/Echo"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("grpc-timeout", "10S"),
)


def recorded() -> dict[str, bytes]:
    """All that a client sends in a session, by what it does there."""
    return {
        "unary": _unary(),
        "calls": _calls(),
        "streaming": _streaming(),
        "compressed": _compressed(),
        "large_headers": _large_headers(),
        "windows": _windows(),
        "cancelled": _cancelled(),
        "upkeep": _upkeep(),
    }


class _Client:
    """A client's end of a connection, whose server is only imagined."""

    def __init__(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=True))
        self.h2.initiate_connection()
        # The server's SETTINGS, and its acknowledgement of ours.
        self.h2.receive_data(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0)))

    def begin(self, path: str = "/test.Bytes/Echo", *more: tuple[str, str]) -> int:
        """Begins a call; gives its stream."""
        stream_id = self.h2.get_next_available_stream_id()
        headers = [(name, path if name == ":path" else value) for name, value in _CALL]
        self.h2.send_headers(stream_id, [*headers, *more])
        return stream_id

    def say(self, stream_id: int, message: bytes, *, end: bool = False, packed: int = 0) -> None:
        """Sends a message."""
        octets = bytes((packed,)) + len(message).to_bytes(4) + message
        self.h2.send_data(stream_id, octets, end_stream=end)

    def sent(self) -> bytes:
        """All that it has sent."""
        return self.h2.data_to_send()


def _unary() -> bytes:
    client = _Client()
    client.say(client.begin(), b"hello", end=True)
    return client.sent()


def _calls() -> bytes:
    client = _Client()
    for number in range(20):
        client.say(client.begin("/test.Bytes/Echo", ("number", str(number))), b"x", end=True)
    return client.sent()


def _streaming() -> bytes:
    client = _Client()
    streams = [client.begin("/test.Bytes/Count") for _ in range(4)]
    for number in range(4):
        for stream_id in streams:
            client.say(stream_id, b"x" * 10**number)
    for stream_id in streams:
        client.h2.end_stream(stream_id)
    return client.sent()


def _compressed() -> bytes:
    client = _Client()
    stream_id = client.begin("/test.Bytes/Echo", ("grpc-encoding", "gzip"))
    client.say(stream_id, gzip.compress(b"hello " * 100, mtime=0), end=True, packed=1)
    return client.sent()


def _large_headers() -> bytes:
    client = _Client()
    client.say(client.begin("/test.Bytes/Echo", ("large", "x" * 20_000)), b"x", end=True)
    client.say(client.begin("/test.Bytes/Echo", ("large", "y" * 12_000)), b"x", end=True)
    return client.sent()


def _windows() -> bytes:
    client = _Client()
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    for path in ("/test.Bytes/Flood", "/test.Bytes/Echo"):
        stream_id = client.begin(path)
        client.say(stream_id, (1_000).to_bytes(2), end=True)
        for size in (1, 1_000, 100_000):
            client.h2.increment_flow_control_window(size, stream_id)
            client.h2.increment_flow_control_window(size)
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000})
    return client.sent()


def _cancelled() -> bytes:
    client = _Client()
    for _ in range(10):
        stream_id = client.begin("/test.Bytes/Hang")
        client.say(stream_id, b"x")
        client.h2.reset_stream(stream_id, 8)
    return client.sent()


def _upkeep() -> bytes:
    client = _Client()
    stream_id = client.begin("/test.Bytes/Hang")
    client.h2.prioritize(stream_id, weight=20, depends_on=0, exclusive=False)
    client.h2.ping(b"notecast")
    client.h2.update_settings({SettingCodes.MAX_FRAME_SIZE: 20_000})
    client.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 0})
    client.say(stream_id, b"x", end=True)
    client.begin()
    client.h2.close_connection()
    return client.sent()
