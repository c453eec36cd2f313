"""What an attack is made of."""

import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from tests.support import raw_http2 as raw

Pieces = Iterator[bytes]
"""What to send, piece by piece. What has come is read in between, if the attacker reads at all."""

ECHO: Final = raw.request("/test.Bytes/Echo")
HANG: Final = raw.request("/test.Bytes/Hang")
COUNT: Final = raw.request("/test.Bytes/Count")
FLOOD: Final = raw.request("/test.Bytes/Flood")
IGNORE: Final = raw.request("/test.Bytes/Ignore")

OPEN_STREAMS: Final = 900
"""Nearly as many as a server lets one connection have."""
LARGEST_FRAME: Final = 16_384
LONGER_THAN_REQUESTS: Final = 2.5
"""In seconds: by then, requests that are not whole have ended."""

_MANY: Final = 200_000
_IN_A_PIECE: Final = 64


class Attack(NamedTuple):
    """One peer with bad intentions.

    Attributes:
        pieces: makes what it sends. An attack whose pieces are all sent was not cut off.
        reads: whether it reads what comes.
        greets: whether its connection begins with preface and SETTINGS.
    """

    pieces: Callable[[], Pieces]
    reads: bool = True
    greets: bool = True


def flood(make: Callable[[int], bytes], count: int = _MANY) -> Callable[[], Pieces]:
    """`count` times what is made from the next stream id: far more than any client sends."""

    def pieces() -> Pieces:
        ids = stream_ids()
        for _ in range(count // _IN_A_PIECE):
            yield b"".join([make(next(ids)) for _ in range(_IN_A_PIECE)])

    return pieces


def stream_ids(count: int = 2**30) -> Iterator[int]:
    """As many as are wanted, as a client takes them."""
    return iter(range(1, 2 * count, 2))


def silence(seconds: float) -> Pieces:
    """Nothing for so long; what comes is read."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.05)
        yield b""


def signs_of_life(seconds: float) -> Pieces:
    """Nothing of use for so long: as `silence`, but keepalive has no reason to end it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.2)
        yield raw.window_update(0, 1)


def frames_of(message: bytes, stream_id: int) -> Iterator[bytes]:
    """A message in DATA frames as large as they may be."""
    for start in range(0, len(message), LARGEST_FRAME):
        yield raw.data(stream_id, message[start : start + LARGEST_FRAME])
