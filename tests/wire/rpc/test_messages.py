"""Length-prefixed messages, whatever their bytes and however these are cut."""

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notecast_wire.rpc.messages import (
    MessageError,
    MessageReader,
    MessageTooLargeError,
    length_prefixed,
    length_prefixed_gzip,
    unpack,
    whole_message,
)

MOST = 1_000


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=50)), max_size=10),
    st.lists(st.integers(0, 1_000), max_size=10),
)
def test_messages_come_out_as_they_went_in_however_they_are_cut(
    messages: list[tuple[bool, bytes]], cuts: list[int]
) -> None:
    wire = b"".join(bytes((flag,)) + len(data).to_bytes(4) + data for flag, data in messages)
    reader = MessageReader(MOST)
    found = [message for piece in pieces(wire, cuts) for message in reader.feed(piece)]
    assert found == messages
    assert reader.held_bytes == 0


@given(st.binary(max_size=50), st.integers(0, 60))
def test_what_is_not_whole_is_held_and_no_more(data: bytes, cut: int) -> None:
    wire = length_prefixed(data)
    reader = MessageReader(MOST)
    found = reader.feed(wire[:cut])
    assert reader.held_bytes == (0 if found else len(wire[:cut]))


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_any_bytes_are_messages_or_an_error(parts: list[bytes]) -> None:
    reader = MessageReader(MOST)
    try:
        for part in parts:
            reader.feed(part)
    except (MessageError, MessageTooLargeError):
        return
    assert reader.held_bytes <= MOST + 5


def test_a_message_over_the_bound_is_refused_by_its_announcement() -> None:
    reader = MessageReader(MOST)
    assert reader.feed(b"\0" + (MOST).to_bytes(4)) == []
    with pytest.raises(MessageTooLargeError, match=r"\(1001 vs\. 1000\)"):
        MessageReader(MOST).feed(b"\0" + (MOST + 1).to_bytes(4))


def test_a_flag_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(MessageError):
        MessageReader(MOST).feed(b"\2\0\0\0\0")


@given(st.binary(max_size=60))
def test_one_whole_plain_message_is_told_from_anything_else(data: bytes) -> None:
    assert whole_message(length_prefixed(data)) == data
    assert whole_message(length_prefixed(data) + b"\0") is None
    assert whole_message(length_prefixed(data)[:-1]) is None
    assert whole_message(b"\1" + length_prefixed(data)[1:]) is None


@given(st.binary(max_size=2_000))
def test_a_packed_message_is_read_by_gzip_and_by_us(data: bytes) -> None:
    wire = length_prefixed_gzip(data)
    assert int.from_bytes(wire[1:5]) == len(wire) - 5
    if wire[0]:
        assert len(wire) - 5 < len(data)
        assert gzip.decompress(wire[5:]) == unpack(wire[5:], 2_000) == data
    else:
        assert wire[5:] == data


@given(st.binary(max_size=500), st.integers(0, 600))
def test_a_packed_message_may_unpack_to_the_bound_and_not_beyond(data: bytes, most: int) -> None:
    packed = gzip.compress(data)
    if len(data) <= most:
        assert unpack(packed, most) == data
    else:
        with pytest.raises(MessageTooLargeError):
            unpack(packed, most)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    given_limits: list[int] = []
    make = zlib.decompressobj

    class Watched:
        """A decompressor that notes how much is asked of it."""

        def __init__(self, wbits: int) -> None:
            self._inner = make(wbits)
            self.eof, self.unused_data = False, b""

        def decompress(self, data: bytes, most: int) -> bytes:
            given_limits.append(most)
            return self._inner.decompress(data, most)

    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < 60_000
    monkeypatch.setattr(zlib, "decompressobj", Watched)
    with pytest.raises(MessageTooLargeError):
        unpack(bomb, MOST)
    assert given_limits == [MOST + 1]


@pytest.mark.parametrize(
    "data",
    [b"", b"plain", gzip.compress(b"x")[:-1], gzip.compress(b"x") + b"y", gzip.compress(b"x") * 2],
    ids=["nothing", "plain", "cut off", "more behind", "two members"],
)
def test_what_is_not_one_gzip_member_is_an_error(data: bytes) -> None:
    with pytest.raises(MessageError):
        unpack(data, MOST)


def test_a_message_is_compressed_only_where_that_makes_it_smaller() -> None:
    assert length_prefixed_gzip(b"x") == length_prefixed(b"x")
    packed = length_prefixed_gzip(bytes(1_000))
    assert packed[0] == 1
    assert gzip.decompress(packed[5:]) == bytes(1_000)
