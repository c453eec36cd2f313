"""Attacks by patience: a peer that does not read, or does not send, what it is to."""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.support import raw_http2 as raw
from tests.wire.hostility.attack import (
    COUNT,
    ECHO,
    FLOOD,
    HANG,
    LONGER_THAN_REQUESTS,
    OPEN_STREAMS,
    Attack,
    Pieces,
    flood,
    frames_of,
    signs_of_life,
    silence,
    stream_ids,
)

_LONGER_THAN_ANY_TIMEOUT: Final = 8.0
_ASK: Final = raw.message((16_000).to_bytes(2))
"""For messages of so many bytes, without end."""


def _zero_window() -> Pieces:
    """Answers that the client's windows never let through."""
    yield raw.settings((raw.INITIAL_WINDOW_SIZE, 0))
    for number in stream_ids(OPEN_STREAMS):
        yield raw.headers(number, FLOOD) + raw.data(number, _ASK, end=True)
    yield from silence(1.0)


def _unread_answers() -> Pieces:
    """The same of whole answers, whose handlers have returned: 54 MB."""
    yield raw.settings((raw.INITIAL_WINDOW_SIZE, 0))
    question = raw.message(bytes(60_000))
    for number in stream_ids(OPEN_STREAMS):
        yield raw.headers(number, ECHO)
        yield from frames_of(question, number)
        yield raw.data(number, b"", end=True)
    yield from silence(0.5)


def _slow_window() -> Pieces:
    """CVE-2019-9511: an answer that is let through octet by octet."""
    yield raw.settings((raw.INITIAL_WINDOW_SIZE, 0))
    yield raw.headers(1, FLOOD) + raw.data(1, _ASK, end=True)
    yield from flood(lambda _: raw.window_update(1, 1))()


def _never_reads() -> Pieces:
    """CVE-2019-9517: windows wide open, and a socket that nobody reads."""
    yield raw.settings((raw.INITIAL_WINDOW_SIZE, raw.LARGEST_WINDOW))
    yield raw.window_update(0, raw.LARGEST_WINDOW - 65_535)
    for number in stream_ids(OPEN_STREAMS):
        yield raw.headers(number, FLOOD) + raw.data(number, _ASK, end=True)
    yield from silence(_LONGER_THAN_ANY_TIMEOUT)


def _half_a_preface() -> Pieces:
    yield raw.PREFACE[:12]
    yield from silence(_LONGER_THAN_ANY_TIMEOUT)


def _no_settings() -> Pieces:
    yield raw.PREFACE
    yield from silence(_LONGER_THAN_ANY_TIMEOUT)


def _slowloris() -> Pieces:
    """Preface and SETTINGS, an octet at a time."""
    yield from _dripped(raw.PREFACE + raw.settings())


def _half_a_header_block() -> Pieces:
    yield raw.frame(raw.HEADERS, 0, 1, HANG)
    yield from silence(_LONGER_THAN_ANY_TIMEOUT)


def _half_a_frame() -> Pieces:
    yield raw.headers(1, COUNT) + raw.frame_head(raw.DATA, 0, 1, 1_000) + bytes(10)
    yield from silence(_LONGER_THAN_ANY_TIMEOUT)


def _dripped_frame() -> Pieces:
    """A frame of which an octet comes now and then: a sign of life, and nothing else can come."""
    yield raw.headers(1, COUNT) + raw.frame_head(raw.DATA, 0, 1, 1_000)
    yield from _dripped(bytes(1_000))


def _dripped_header_block() -> Pieces:
    """The same of whole frames: a block that has no end."""
    yield raw.frame(raw.HEADERS, 0, 1, HANG)
    for _ in range(30):
        time.sleep(0.5)
        yield raw.frame(raw.CONTINUATION, 0, 1)


def _dripped(octets: bytes) -> Pieces:
    for octet in octets:
        time.sleep(0.2)
        yield bytes((octet,))


def _half_requests() -> Pieces:
    """Calls that have begun and whose requests never come, or not whole."""
    half = raw.message(bytes(100))[:-1]
    for number in stream_ids(OPEN_STREAMS):
        yield raw.headers(number, HANG) + (raw.data(number, half) if number % 4 == 1 else b"")
    yield from signs_of_life(LONGER_THAN_REQUESTS)


def _another_protocol() -> Pieces:
    yield b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


WAITS: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        "zero_window": Attack(_zero_window),
        "unread_answers": Attack(_unread_answers),
        "slow_window": Attack(_slow_window),
        "never_reads": Attack(_never_reads, reads=False),
        "never_sends": Attack(lambda: silence(_LONGER_THAN_ANY_TIMEOUT), greets=False),
        "half_a_preface": Attack(_half_a_preface, greets=False),
        "no_settings": Attack(_no_settings, greets=False),
        "slowloris": Attack(_slowloris, greets=False),
        "half_a_header_block": Attack(_half_a_header_block),
        "half_a_frame": Attack(_half_a_frame),
        "dripped_frame": Attack(_dripped_frame),
        "dripped_header_block": Attack(_dripped_header_block),
        "half_requests": Attack(_half_requests),
        "another_protocol": Attack(_another_protocol, greets=False),
    }
)
