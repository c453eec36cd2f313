"""Attacks by size: little is sent that means or promises much."""

import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.support import raw_http2 as raw
from tests.wire.hostility.attack import (
    COUNT,
    HANG,
    IGNORE,
    LARGEST_FRAME,
    LONGER_THAN_REQUESTS,
    OPEN_STREAMS,
    Attack,
    Pieces,
    frames_of,
    signs_of_life,
    silence,
    stream_ids,
)


def _header_bomb() -> Pieces:
    """An octet each for fields of 4,000 octets that the decoder's table holds."""
    ids = stream_ids(1_000)
    yield raw.headers(next(ids), HANG + raw.indexed_literal(b"bomb", b"x" * 3_900), end=True)
    block = HANG + b"\xbe" * (LARGEST_FRAME - len(HANG))
    for number in ids:
        yield raw.headers(number, block, end=True)


def _connection_window() -> Pieces:
    yield raw.window_update(0, raw.LARGEST_WINDOW)


def _stream_window() -> Pieces:
    yield raw.headers(1, HANG) + raw.window_update(1, raw.LARGEST_WINDOW)


def _windows_by_settings() -> Pieces:
    yield raw.headers(1, HANG) + raw.window_update(1, raw.LARGEST_WINDOW - 65_535)
    yield raw.settings((raw.INITIAL_WINDOW_SIZE, 65_536))


def _past_the_window() -> Pieces:
    """DATA on and on, for a call that reads none."""
    yield raw.headers(1, IGNORE)
    yield from frames_of(raw.message(bytes(4_000_000)), 1)


def _huge_frame() -> Pieces:
    """A frame that says it has 16 MB."""
    yield raw.headers(1, COUNT) + raw.frame_head(raw.DATA, 0, 1, 2**24 - 1) + bytes(1_000)


def _huge_messages() -> Pieces:
    """Messages that say they have 4 GB."""
    head = b"\0" + (2**32 - 1).to_bytes(4)
    for number in stream_ids(OPEN_STREAMS):
        yield raw.headers(number, COUNT) + raw.data(number, head + bytes(100))


def _large_messages_that_never_come() -> Pieces:
    """Messages that say they have 4 MB, which they may."""
    head = b"\0" + (4 * 1024 * 1024).to_bytes(4)
    for number in stream_ids(OPEN_STREAMS):
        yield raw.headers(number, COUNT) + raw.data(number, head)
    yield from signs_of_life(LONGER_THAN_REQUESTS)


def _half_messages() -> Pieces:
    """Messages of which so much comes as a stream's window lets through."""
    part = (b"\0" + (100_000).to_bytes(4)).ljust(65_535, b"x")
    for number in stream_ids(OPEN_STREAMS):
        yield raw.headers(number, COUNT)
        yield from frames_of(part, number)
    yield from silence(0.5)


def _gzip_bombs() -> Pieces:
    """Messages of 60 KB that unpack to 60 MB each."""
    packer = zlib.compressobj(wbits=31)
    bomb = packer.compress(bytes(60 * 1024 * 1024)) + packer.flush()
    packed = raw.request("/test.Bytes/Echo", (b"grpc-encoding", b"gzip"))
    for number in stream_ids(50):
        yield raw.headers(number, packed)
        yield from frames_of(raw.message(bomb, compressed=True), number)
        yield raw.data(number, b"", end=True)


BOMBS: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        "header_bomb": Attack(_header_bomb),
        "window_overflow": Attack(_connection_window),
        "window_overflow_of_a_stream": Attack(_stream_window),
        "window_overflow_by_settings": Attack(_windows_by_settings),
        "data_past_the_window": Attack(_past_the_window),
        "huge_frame": Attack(_huge_frame),
        "huge_messages": Attack(_huge_messages),
        "large_messages_that_never_come": Attack(_large_messages_that_never_come),
        "half_messages_on_many_streams": Attack(_half_messages),
        "gzip_bombs": Attack(_gzip_bombs),
    }
)
