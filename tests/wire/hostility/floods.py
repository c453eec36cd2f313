"""Attacks by number: each frame costs the server more than its sender."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from tests.support import raw_http2 as raw
from tests.wire.hostility.attack import (
    COUNT,
    HANG,
    IGNORE,
    OPEN_STREAMS,
    Attack,
    Pieces,
    flood,
    stream_ids,
)

_ECHO: Final = raw.request("/test.Bytes/Echo")
_NOTHING: Final = raw.message(b"")
_MADE_LENGTH: Final = raw.request("/test.Bytes/Hang", (b"content-length", b"3"))
_MALFORMED: Final = raw.request("/test.Bytes/Hang", (b"Upper-Case", b"x"))

# How a peer makes the server reset a stream that it has just opened (CVE-2025-8671).
_PROVOCATIONS: Final[Mapping[str, Callable[[int], bytes]]] = MappingProxyType(
    {
        "a_window_update_of_0": lambda number: (
            raw.headers(number, HANG) + raw.window_update(number, 0)
        ),
        "too_large_a_window": lambda number: (
            raw.headers(number, HANG) + raw.window_update(number, raw.LARGEST_WINDOW)
        ),
        "data_behind_the_end": lambda number: (
            raw.headers(number, HANG)
            + raw.data(number, _NOTHING, end=True)
            + raw.data(number, _NOTHING)
        ),
        "headers_behind_the_end": lambda number: (
            raw.headers(number, HANG)
            + raw.data(number, _NOTHING, end=True)
            + raw.headers(number, HANG, end=True)
        ),
        "a_wrong_content_length": lambda number: (
            raw.headers(number, _MADE_LENGTH) + raw.data(number, bytes(5))
        ),
        "a_priority_of_4_octets": lambda number: (
            raw.headers(number, HANG) + raw.frame(raw.PRIORITY, 0, number, bytes(4))
        ),
        "malformed_requests": lambda number: raw.headers(number, _MALFORMED, end=True),
        "malformed_trailers": lambda number: (
            raw.headers(number, HANG) + raw.headers(number, raw.literal(b":a", b""), end=True)
        ),
    }
)


def _behind(first: bytes, make: Callable[[int], bytes]) -> Callable[[], Pieces]:
    """A flood that something has to come before."""

    def pieces() -> Pieces:
        yield first
        yield from flood(make)()

    return pieces


def _reset_at_once(stream_id: int) -> bytes:
    return raw.headers(stream_id, HANG) + raw.rst_stream(stream_id)


def _ask_and_reset(stream_id: int) -> bytes:
    ask = raw.data(stream_id, _NOTHING, end=True)
    return raw.headers(stream_id, _ECHO) + ask + raw.rst_stream(stream_id)


def _long_codes(count: int) -> bytes:
    """A value of so many octets, each of a code of 26 bits (RFC 7541, appendix B)."""
    bits = "11111111111111111111100010" * count
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


# A frame of it is a list of 5,000 octets, which anybody may send.
_LARGE: Final = _ECHO + raw.compressed_literal(b"x-long", _long_codes(4_900))


def _large_request(stream_id: int) -> bytes:
    return raw.headers(stream_id, _LARGE) + raw.data(stream_id, _NOTHING, end=True)


_unfinished = raw.frame(raw.HEADERS, 0, 1, HANG)
_more = raw.frame(raw.CONTINUATION, 0, 1, raw.literal(b"more", b"x" * 1_000))
_many_calls = b"".join([raw.headers(number, HANG) for number in stream_ids(OPEN_STREAMS)])

FLOODS: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        # CVE-2023-44487: calls that are given up at once, unfinished or whole.
        "rapid_reset": Attack(flood(_reset_at_once)),
        "rapid_reset_of_whole_calls": Attack(flood(_ask_and_reset)),
        **{
            f"made_you_reset_by_{name}": Attack(flood(provoke))
            for name, provoke in _PROVOCATIONS.items()
        },
        # None of them ends: all but the first thousand have to be refused.
        "more_calls_than_allowed": Attack(flood(partial(raw.headers, block=HANG))),
        # CVE-2024-27316 and its kin: a header block that does not end.
        "continuation_flood": Attack(_behind(_unfinished, lambda _: _more)),
        "empty_continuation_flood": Attack(
            _behind(_unfinished, lambda _: raw.frame(raw.CONTINUATION, 0, 1))
        ),
        # CVE-2019-9512 and CVE-2019-9515: each wants an answer.
        "ping_flood": Attack(flood(lambda number: raw.ping(number.to_bytes(8)))),
        "ping_flood_without_reading": Attack(flood(lambda _: raw.ping()), reads=False),
        "settings_flood": Attack(flood(lambda _: raw.settings())),
        "settings_flood_without_reading": Attack(flood(lambda _: raw.settings()), reads=False),
        "settings_flood_over_many_streams": Attack(
            _behind(_many_calls, lambda number: raw.settings((raw.INITIAL_WINDOW_SIZE, number)))
        ),
        # CVE-2019-9518: frames without anything in them, which no window stops.
        "empty_data_flood": Attack(_behind(raw.headers(1, COUNT), lambda _: raw.data(1, b""))),
        "empty_headers_flood": Attack(flood(partial(raw.headers, block=b""))),
        "padding_flood": Attack(
            _behind(
                raw.headers(1, COUNT), lambda _: raw.frame(raw.DATA, raw.PADDED, 1, b"\x03\0\0\0")
            )
        ),
        # Requests as they may be, of codes that take long to read.
        "large_header_blocks": Attack(flood(_large_request, 6_400)),
        # 5 octets that become an object each, for a call that reads none of them.
        "empty_messages_flood": Attack(
            _behind(raw.headers(1, IGNORE), lambda _: raw.data(1, _NOTHING * 20))
        ),
        # CVE-2019-9513: priorities, of streams that need not exist.
        "priority_flood": Attack(
            flood(lambda number: raw.frame(raw.PRIORITY, 0, number, bytes(5)))
        ),
        "window_update_flood": Attack(
            _behind(
                raw.headers(1, HANG),
                lambda _: raw.window_update(1, 1) + raw.window_update(0, 1),
            )
        ),
        # Types that nobody knows have to be ignored.
        "unknown_frames_flood": Attack(flood(lambda number: raw.frame(0xBE, 0, number))),
    }
)
