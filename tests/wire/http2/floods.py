"""What hostile peers send, without an end, a step at a time."""

from collections.abc import Iterator
from itertools import count

from notecast_wire.http2.header_encoder import encode_headers
from tests.wire.http2.raw_client import (
    ACK,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PADDED,
    PING,
    PRIORITY,
    REQUEST,
    SETTINGS,
    WHOLE,
    Frame,
    rst_stream,
    setting,
    window_update,
)

BLOCK = encode_headers(REQUEST)
ODD = range(1, 2**31, 2)


def head(stream_id: int, flags: int = END_HEADERS, block: bytes = BLOCK) -> Frame:
    return Frame(HEADERS, flags, stream_id, block)


def rapid_resets() -> Iterator[list[Frame]]:
    return ([head(i), rst_stream(i)] for i in ODD)


def resets_provoked_by_window_updates_of_0() -> Iterator[list[Frame]]:
    return ([head(i), window_update(i, 0)] for i in ODD)


def resets_provoked_by_window_overflows() -> Iterator[list[Frame]]:
    return ([head(i), window_update(i, 2**31 - 1)] for i in ODD)


def resets_provoked_by_priorities_of_the_wrong_size() -> Iterator[list[Frame]]:
    return ([head(i), Frame(PRIORITY, 0, i, b"")] for i in ODD)


def resets_provoked_by_data_behind_the_end() -> Iterator[list[Frame]]:
    return ([head(i, WHOLE), Frame(DATA, 0, i, b"a")] for i in ODD)


def resets_provoked_by_headers_behind_the_end() -> Iterator[list[Frame]]:
    return ([head(i, WHOLE), head(i, WHOLE)] for i in ODD)


def resets_provoked_by_bodies_that_are_too_long() -> Iterator[list[Frame]]:
    block = encode_headers([*REQUEST, (b"content-length", b"0")])
    return ([head(i, block=block), Frame(DATA, 0, i, b"a")] for i in ODD)


def resets_of_both_kinds() -> Iterator[list[Frame]]:
    return ([head(i), rst_stream(i) if i % 4 == 1 else window_update(i, 0)] for i in ODD)


def malformed_requests() -> Iterator[list[Frame]]:
    return ([head(i, block=BLOCK[:2])] for i in ODD)


def requests_over_the_streams_allowed() -> Iterator[list[Frame]]:
    return ([head(i)] for i in ODD)


def pings() -> Iterator[list[Frame]]:
    return ([Frame(PING, 0, 0, bytes(8))] for _ in count())


def settings() -> Iterator[list[Frame]]:
    return ([Frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, i % 9))] for i in count())


def empty_settings() -> Iterator[list[Frame]]:
    return ([Frame(SETTINGS, 0, 0)] for _ in count())


def acknowledgements_of_nothing() -> Iterator[list[Frame]]:
    return ([Frame(SETTINGS, ACK, 0)] for _ in count())


def answers_to_no_ping() -> Iterator[list[Frame]]:
    return ([Frame(PING, ACK, 0, bytes(8))] for _ in count())


def opened(*frames: Frame) -> Iterator[list[Frame]]:
    yield [head(1)]
    while True:
        yield list(frames)


def empty_data() -> Iterator[list[Frame]]:
    return opened(Frame(DATA, 0, 1, b""))


def data_of_padding_alone() -> Iterator[list[Frame]]:
    return opened(Frame(DATA, PADDED, 1, b"\x00"))


def priorities() -> Iterator[list[Frame]]:
    return opened(Frame(PRIORITY, 0, 1, bytes(5)))


def priorities_of_idle_streams() -> Iterator[list[Frame]]:
    return ([Frame(PRIORITY, 0, i, bytes(5))] for i in ODD)


def window_updates() -> Iterator[list[Frame]]:
    return opened(window_update(1, 1))


def window_updates_of_the_connection() -> Iterator[list[Frame]]:
    return opened(window_update(0, 1))


def unknown_frames() -> Iterator[list[Frame]]:
    return opened(Frame(0x42, 0, 0, b""))


def goaways() -> Iterator[list[Frame]]:
    return opened(Frame(GOAWAY, 0, 0, bytes(8)))


def resets_of_an_ended_stream() -> Iterator[list[Frame]]:
    return opened(rst_stream(1))


def data_of_an_ended_stream() -> Iterator[list[Frame]]:
    yield [head(1), rst_stream(1)]
    while True:
        yield [Frame(DATA, 0, 1, b"")]


FLOODS = [
    rapid_resets,
    resets_provoked_by_window_updates_of_0,
    resets_provoked_by_window_overflows,
    resets_provoked_by_priorities_of_the_wrong_size,
    resets_provoked_by_data_behind_the_end,
    resets_provoked_by_headers_behind_the_end,
    resets_provoked_by_bodies_that_are_too_long,
    resets_of_both_kinds,
    malformed_requests,
    requests_over_the_streams_allowed,
    pings,
    settings,
    empty_settings,
    acknowledgements_of_nothing,
    answers_to_no_ping,
    empty_data,
    data_of_padding_alone,
    priorities,
    priorities_of_idle_streams,
    window_updates,
    window_updates_of_the_connection,
    unknown_frames,
    goaways,
    resets_of_an_ended_stream,
    data_of_an_ended_stream,
]
