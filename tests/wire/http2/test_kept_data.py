"""What we send (RFC 9113, 5.2 and 6.9): as far as the windows go, the rest later and in turns."""

from collections.abc import Callable
from typing import cast

import pytest

from notecast_wire.fairness.held_bytes import HeldBytes
from notecast_wire.fairness.shares import ShareRatios, ShareRefusal
from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.events import AnswerSent, StreamEnded, StreamWritable
from notecast_wire.http2.shared_window import SharedWindow
from notecast_wire.http2.stream import StreamOwner
from tests.wire.http2.raw_client import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    RST_STREAM,
    STATUS,
    TRAILERS,
    Frame,
    RawClient,
    rst_stream,
    window_update,
)
from tests.wire.http2.windows import LARGEST, sizes, with_window, writable


def test_data_goes_out_as_far_as_the_streams_window_and_the_rest_when_it_opens() -> None:
    client = with_window(10)
    stream = client.begin(1)
    assert not client.sender.send_data(stream, b"0123456789abcdef")
    assert client.sent() == [Frame(DATA, 0, 1, b"0123456789")]
    assert not client.send(window_update(1, 4))
    assert client.sent() == [Frame(DATA, 0, 1, b"abcd")]
    assert client.send(window_update(1, 100)) == writable(stream)
    assert client.sent() == [Frame(DATA, 0, 1, b"ef")]
    assert stream.unsent is None
    assert client.sender.send_data(stream, b"g")


def test_data_goes_out_as_far_as_the_connections_window_and_the_rest_when_it_opens() -> None:
    client = with_window(LARGEST)
    stream = client.begin(1)
    assert not client.sender.send_data(stream, bytes(65_540))
    assert sum(size for _, size in sizes(client)) == 65_535
    assert client.send(window_update(0, 5)) == writable(stream)
    assert client.sent() == [Frame(DATA, 0, 1, bytes(5))]


def test_no_frame_is_larger_than_any_peer_takes() -> None:
    client = RawClient()
    client.sender.send_data(client.begin(1), bytes(65_535))
    assert sizes(client) == [(1, 16_384), (1, 16_384), (1, 16_384), (1, 16_383)]


def test_kept_data_goes_out_a_frame_of_a_stream_after_the_others() -> None:
    client = with_window(LARGEST)
    connection = client.connection
    streams = [client.begin(stream_id) for stream_id in (1, 3, 5)]
    connection.sender.send_window = 0
    for stream in streams:
        connection.sender.send_data(stream, bytes(40_000))
    client.send(window_update(0, 50_000))
    assert sizes(client) == [(1, 16_384), (3, 16_384), (5, 16_384), (1, 848)]
    events = client.send(window_update(0, LARGEST - 1))
    assert [stream_id for stream_id, _ in sizes(client)] == [3, 5, 1, 3, 5, 1]
    assert [event.stream.id for event in events if isinstance(event, StreamWritable)] == [3, 5, 1]


def test_a_stream_whose_own_window_is_closed_holds_up_no_other() -> None:
    client = with_window(LARGEST)
    connection = client.connection
    first, second = client.begin(1), client.begin(3)
    connection.sender.send_window = 0
    connection.sender.send_data(first, bytes(1_000))
    connection.sender.send_data(second, bytes(1_000))
    first.send_window = 100
    client.send(window_update(0, 5_000))
    assert sizes(client) == [(1, 100), (3, 1_000)]
    assert client.send(window_update(1, 5_000)) == writable(first)
    assert sizes(client) == [(1, 900)]


def test_kept_data_is_not_copied() -> None:
    client = with_window(10)
    stream = client.begin(1)
    data = bytes(1_000_000)
    client.sender.send_data(stream, data)
    assert stream.unsent is not None
    (kept,) = stream.unsent
    assert isinstance(kept, memoryview)
    assert kept.obj is data


def test_trailers_wait_for_kept_data() -> None:
    client = with_window(2)
    stream = client.begin(1, ended=True)
    connection = client.connection
    connection.sender.respond(stream, STATUS, b"note", TRAILERS)
    assert [frame.kind for frame in client.sent()] == [HEADERS, DATA]
    assert not client.send(window_update(1, 2))
    data, trailers = client.sent()
    assert (data.payload, trailers.payload) == (b"te", TRAILERS)
    assert trailers.flags == END_HEADERS | END_STREAM
    assert not connection.streams


def test_an_answer_counts_against_both_windows_and_waits_for_the_connections() -> None:
    client = RawClient()
    connection = client.connection
    connection.sender.respond(client.begin(1, ended=True), STATUS, bytes(10_000), TRAILERS)
    assert connection.sender.send_window == 55_535
    connection.sender.send_window = 100
    stream = client.begin(3, ended=True)
    connection.sender.respond(stream, STATUS, bytes(101), TRAILERS)
    assert sizes(client) == [(1, 10_000), (3, 100)]
    assert stream.send_window == 65_435
    client.send(window_update(0, 1))
    assert [frame.kind for frame in client.sent()] == [DATA, HEADERS]


@pytest.mark.parametrize("window", [0, 3, 100])
def test_the_end_of_a_stream_goes_out_with_its_last_data(window: int) -> None:
    client = with_window(window)
    stream = client.begin(1, ended=True)
    client.sender.send_data(stream, b"note", end_stream=True)
    client.send(window_update(1, 100))
    frames = client.sent()
    assert b"".join(frame.payload for frame in frames) == b"note"
    assert [bool(frame.flags & END_STREAM) for frame in frames] == [
        frame is frames[-1] for frame in frames
    ]
    assert not client.connection.streams


def test_an_end_without_data_needs_no_window() -> None:
    client = with_window(0)
    stream = client.begin(1, ended=True)
    client.sender.send_data(stream, b"", end_stream=True)
    assert client.sent() == [Frame(DATA, END_STREAM, 1)]


def test_headers_and_trailers_need_no_window() -> None:
    client = with_window(0)
    stream = client.begin(1, ended=True)
    client.sender.send_headers(stream, STATUS)
    client.sender.send_trailers(stream, TRAILERS)
    assert [frame.kind for frame in client.sent()] == [HEADERS, HEADERS]


def test_dropped_data_is_not_sent_and_what_was_kept_after_it_is() -> None:
    client = with_window(2)
    stream = client.begin(1, ended=True)
    connection = client.connection
    connection.sender.send_data(stream, b"note")
    connection.sender.send_trailers(stream, TRAILERS)
    client.sent()
    connection.sender.drop_unsent(stream)
    assert [frame.payload for frame in client.sent()] == [TRAILERS]
    assert not client.send(window_update(1, 100))
    assert not client.sent()


def test_a_stream_that_drops_its_data_may_send_other_data() -> None:
    client = with_window(2)
    stream = client.begin(1, ended=True)
    connection = client.connection
    connection.sender.send_data(stream, b"note")
    connection.sender.drop_unsent(stream)
    connection.sender.send_trailers(stream, TRAILERS)
    assert [frame.payload for frame in client.sent()] == [b"no", TRAILERS]


def test_a_stream_whose_data_were_dropped_is_not_told_that_they_are_out() -> None:
    client = RawClient()
    connection = client.connection
    stream = client.begin(1)
    connection.sender.send_window = 0
    connection.sender.send_data(stream, b"note")
    connection.sender.drop_unsent(stream)
    assert client.send(window_update(0, 100)) == []


def test_dropping_data_with_an_end_still_ends_the_stream() -> None:
    client = with_window(2)
    stream = client.begin(1, ended=True)
    client.sender.send_data(stream, b"note", end_stream=True)
    client.sender.drop_unsent(stream)
    assert client.sent()[-1] == Frame(DATA, END_STREAM, 1)


def test_kept_data_of_a_stream_that_was_reset_is_forgotten() -> None:
    client = with_window(LARGEST)
    connection = client.connection
    stream = client.begin(1)
    connection.sender.send_data(stream, bytes(100_000))
    client.sent()
    assert client.send(rst_stream(1)) == [StreamEnded(stream, ErrorCode.CANCEL, by_peer=True)]
    assert not client.send(window_update(0, 100_000))
    assert not client.sent()
    assert stream.unsent is None


class Owner:
    """Owns a stream, and is told what becomes of it."""

    def __init__(self) -> None:
        self.lost: list[ShareRefusal] = []

    def lose(self, refusal: ShareRefusal) -> None:
        self.lost.append(refusal)


def test_an_end_that_was_kept_goes_out_when_the_data_before_it_are_dropped() -> None:
    client = with_window(10)
    stream = client.begin(1, ended=True)
    client.sender.send_data(stream, bytes(20), end_stream=True)
    client.sent()
    client.sender.drop_unsent(stream)
    assert client.sent() == [Frame(DATA, END_STREAM, 1, b"")]
    assert stream.over


def test_an_empty_end_needs_no_window() -> None:
    client = with_window(0)
    stream = client.begin(1, ended=True)
    assert client.sender.send_data(stream, b"", end_stream=True)
    assert client.sent() == [Frame(DATA, END_STREAM, 1, b"")]
    assert stream.over


def test_too_much_that_is_kept_for_a_client_ends_its_stream_or_is_for_the_streams_owner() -> None:
    client = with_window(10)
    due: list[Callable[[], None]] = []
    budget = HeldBytes("bytes", 50, ShareRatios(1, 1), due.append)
    client.sender.held_output = budget
    owned, alone = client.begin(1), client.begin(3)
    owner = Owner()
    owned.call = cast("StreamOwner", owner)
    client.sender.send_data(owned, bytes(30))
    client.sender.send_data(alone, bytes(90))
    for settle in due:
        settle()
    assert Frame(RST_STREAM, 0, 3, ErrorCode.ENHANCE_YOUR_CALM.to_bytes(4)) in client.sent()
    assert alone.over
    assert (owner.lost, budget.total) == ([], 20)
    refusal = ShareRefusal("bytes", "total", 50)
    client.sender.lose(owned, refusal)
    assert owner.lost == [refusal]
    client.sender.drop_unsent(owned)
    assert budget.total == 0


def test_a_stream_that_has_ended_for_us_ends_with_another_block_in_place_of_what_is_kept() -> None:
    client = with_window(10)
    stream = client.begin(1, ended=True)
    client.sender.send_data(stream, bytes(20), end_stream=True)
    client.sent()
    client.sender.end_instead(stream, TRAILERS)
    assert client.sent() == [Frame(HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS)]
    assert stream.over


def test_the_owner_of_an_answer_learns_that_the_last_of_it_is_out() -> None:
    client = with_window(10)
    stream = client.begin(1, ended=True)
    stream.call = cast("StreamOwner", Owner())
    client.sender.send_data(stream, bytes(20), end_stream=True)
    assert client.send(window_update(1, 10)) == [AnswerSent(stream)]


def test_nothing_is_sent_or_kept_of_no_data() -> None:
    client = with_window(10)
    stream = client.begin(1)
    client.connection.pause()
    assert client.sender.send_data(stream, b"")
    assert not client.sender._send_kept(stream)
    assert client.sent() == []


def test_a_window_that_shrinks_is_the_smallest_of_those_it_is_shared_with() -> None:
    stream = with_window(10).begin(1)
    stream.shared = SharedWindow(8)
    stream.send_window = 9
    assert stream.shared.left == 8
    stream.send_window = 5
    assert stream.shared.left == 5
