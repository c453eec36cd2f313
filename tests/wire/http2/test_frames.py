"""Frames out of bytes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.errors import H2ConnectionError
from notecast_wire.http2.frames import MAX_FRAME_BYTES, FrameReader, headers_frames
from tests.wire.http2.raw_client import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    Frame,
    cut,
)

any_frame = st.builds(
    Frame,
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 2**31 - 1),
    st.binary(max_size=40),
)


def read(reader: FrameReader, octets: bytes) -> list[Frame]:
    return [Frame(*fields) for fields in reader.frames(octets)]


@given(st.lists(any_frame, max_size=8), st.lists(st.integers(0, 400), max_size=20))
def test_frames_are_the_same_however_the_stream_of_bytes_is_split(
    frames: list[Frame], cuts: list[int]
) -> None:
    octets = b"".join(frame.octets() for frame in frames)
    edges = [0, *sorted(min(edge, len(octets)) for edge in cuts), len(octets)]
    reader = FrameReader()
    pieces = [octets[a:b] for a, b in itertools.pairwise(edges)]
    assert [frame for piece in pieces for frame in read(reader, piece)] == frames


def test_frames_that_come_byte_by_byte_are_read_whole() -> None:
    frames = [Frame(0, 1, 3, b"note"), Frame(6, 0, 0, b"12345678")]
    reader = FrameReader()
    octets = b"".join(frame.octets() for frame in frames)
    assert [f for octet in octets for f in read(reader, bytes((octet,)))] == frames


def test_the_reserved_bit_of_a_stream_id_is_ignored() -> None:
    octets = Frame(0, 0, 2**31 + 5, b"").octets()
    assert read(FrameReader(), octets) == [Frame(0, 0, 5)]


def test_the_largest_frame_is_taken_and_one_byte_more_is_refused() -> None:
    fits = Frame(0, 0, 1, bytes(MAX_FRAME_BYTES))
    assert read(FrameReader(), fits.octets()) == [fits]
    with pytest.raises(H2ConnectionError) as fault:
        read(FrameReader(), Frame(0, 0, 1, bytes(MAX_FRAME_BYTES + 1)).octets())
    assert fault.value.code == ErrorCode.FRAME_SIZE_ERROR


def test_a_frame_too_large_is_refused_by_its_head_alone() -> None:
    with pytest.raises(H2ConnectionError):
        read(FrameReader(), Frame(0, 0, 1, bytes(MAX_FRAME_BYTES + 1)).octets()[:9])


def test_the_frames_before_one_that_is_too_large_are_read() -> None:
    good = Frame(6, 0, 0, b"12345678")
    frames = FrameReader().frames(good.octets() + b"\xff\xff\xff\0\0\0\0\0\1")
    assert Frame(*next(frames)) == good
    with pytest.raises(H2ConnectionError):
        next(frames)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 35])
def test_a_block_larger_than_a_frame_goes_on_in_continuations(size: int) -> None:
    block = bytes(range(size))
    frames = cut(headers_frames(7, block, END_STREAM, 10))
    assert b"".join(frame.payload for frame in frames) == block
    assert all(len(frame.payload) <= 10 and frame.stream_id == 7 for frame in frames)
    assert [frame.kind for frame in frames] == [HEADERS] + [CONTINUATION] * (len(frames) - 1)
    assert [bool(frame.flags & END_HEADERS) for frame in frames] == [
        frame is frames[-1] for frame in frames
    ]
    assert frames[0].flags & END_STREAM
    assert not any(frame.flags & END_STREAM for frame in frames[1:])
