"""What tests of windows say and look at."""

from notecast_wire.http2.events import Event, StreamWritable
from notecast_wire.http2.stream import Stream
from tests.wire.http2.raw_client import (
    DATA,
    INITIAL_WINDOW_SIZE,
    SETTINGS,
    Frame,
    RawClient,
    setting,
)

LARGEST = 2**31 - 1


def with_window(size: int) -> RawClient:
    """A client whose streams take this much."""
    return RawClient(settings=setting(INITIAL_WINDOW_SIZE, size))


def resized(size: int) -> Frame:
    return Frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, size))


def sizes(client: RawClient) -> list[tuple[int, int]]:
    """Streams and sizes of the DATA frames that went out."""
    return [(f.stream_id, len(f.payload)) for f in client.sent() if f.kind == DATA]


def writable(stream: Stream) -> list[Event]:
    return [StreamWritable(stream)]
