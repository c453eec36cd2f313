"""HPACK blocks, ours against the `hpack` library's."""

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman as decode_huffman_by_hpack
from hypothesis import example, given
from hypothesis import strategies as st

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.errors import H2ConnectionError
from notecast_wire.http2.header_decoder import HeaderDecoder
from notecast_wire.http2.header_encoder import encode_headers
from notecast_wire.http2.huffman import decode_huffman
from notecast_wire.http2.static_table import STATIC_FIELDS

PLENTY = 1 << 20
Fields = list[tuple[bytes, bytes]]

names = st.one_of(
    st.sampled_from([name for name, _ in STATIC_FIELDS]),
    st.sampled_from([b"grpc-timeout", b"x-request-id", b"a"]),
    st.binary(max_size=12),
)
values = st.one_of(
    st.sampled_from([b"", b"POST", b"200", b"trailers", b"application/grpc"]),
    st.binary(max_size=20),
    st.integers(0, 300).map(lambda size: b"v" * size),
)
table_sizes = st.one_of(st.just(4_096), st.integers(0, 500))
field_lists = st.lists(st.tuples(names, values), max_size=12)


def by_hpack(decoder: hpack.Decoder, block: bytes) -> Fields:
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


def huffman_coded(octets: bytes) -> bytes:
    return HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(octets)


def fault_of(block: bytes) -> ErrorCode:
    with pytest.raises(H2ConnectionError) as fault:
        HeaderDecoder(PLENTY).decode(block)
    return fault.value.code


@given(
    st.lists(
        st.tuples(field_lists, st.lists(table_sizes, max_size=2), st.booleans()),
        max_size=6,
    )
)
def test_what_hpack_encodes_with_any_table_sizes_is_decoded_to_the_same(
    blocks: list[tuple[Fields, list[int], bool]],
) -> None:
    encoder = hpack.Encoder()
    decoder = HeaderDecoder(PLENTY)
    for fields, sizes, huffman in blocks:
        for size in sizes:
            if size != encoder.header_table_size:  # else hpack forgets to tell a change before
                encoder.header_table_size = size
        assert decoder.decode(encoder.encode(fields, huffman=huffman)) == fields


sized = st.one_of(
    st.binary(max_size=60),
    # Indexed fields, literals of each kind and table sizes, so that more than noise gets through.
    st.lists(
        st.one_of(
            st.integers(0x80, 0xFF).map(lambda octet: bytes((octet,))),
            st.tuples(
                st.sampled_from([b"\x00", b"\x10", b"\x40"]),
                st.binary(max_size=20),
                st.binary(max_size=20),
            ).map(lambda t: t[0] + bytes((len(t[1]),)) + t[1] + bytes((len(t[2]),)) + t[2]),
            st.tuples(st.integers(1, 14), st.binary(max_size=20)).map(
                lambda t: bytes((t[0], len(t[1]))) + t[1]
            ),
            st.tuples(st.integers(0x41, 0x7E), st.binary(max_size=20)).map(
                lambda t: bytes((t[0], 0x80 | len(t[1]))) + t[1]
            ),
            st.integers(0x20, 0x3E).map(lambda octet: bytes((octet,))),
            st.binary(max_size=2).map(lambda more: b"\x3f" + more),
        ),
        max_size=10,
    ).map(b"".join),
)


@given(st.lists(sized, max_size=5))
@example([b"\x3f\xe2\x1f"])
@example([b"\x82\x20"])
@example([b"\xff\x80\x80\x80\x80\x80\x00"])
@example([b"\xff\x80\x80\x80\x80\x00"])
def test_random_blocks_fail_in_both_decoders_or_are_decoded_to_the_same(
    blocks: list[bytes],
) -> None:
    ours = HeaderDecoder(PLENTY)
    theirs = hpack.Decoder(PLENTY)
    for block in blocks:
        try:
            expected = by_hpack(theirs, block)
        except hpack.HPACKError:
            with pytest.raises(H2ConnectionError):
                ours.decode(block)
            return
        assert ours.decode(block) == expected


@given(st.one_of(st.binary(max_size=40), st.binary(max_size=40).map(huffman_coded)))
def test_huffman_strings_are_what_hpack_says_or_none_in_both(octets: bytes) -> None:
    try:
        expected = decode_huffman_by_hpack(octets)
    except hpack.HPACKError:
        with pytest.raises(H2ConnectionError):
            decode_huffman(octets)
        return
    assert decode_huffman(octets) == expected


@given(st.lists(field_lists, max_size=4))
def test_what_we_encode_is_decoded_by_hpack_to_the_same_and_needs_no_table(
    lists: list[Fields],
) -> None:
    decoder = hpack.Decoder(PLENTY)
    blocks = [encode_headers(fields) for fields in lists]
    for block, fields in [*zip(blocks, lists, strict=True)] * 2:
        assert by_hpack(decoder, block) == fields
    assert not decoder.header_table.dynamic_entries


def test_a_usual_answer_is_a_handful_of_bytes() -> None:
    assert encode_headers([(b":status", b"200")]) == b"\x88"
    assert len(encode_headers([(b"content-type", b"application/grpc")])) == 19


@given(field_lists, st.integers(0, 3_000))
def test_a_list_over_the_bound_is_not_handed_out_and_the_table_is_kept(
    fields: Fields, bound: int
) -> None:
    encoder = hpack.Encoder()
    decoder = HeaderDecoder(bound)
    size = sum(32 + len(name) + len(value) for name, value in fields)
    expected = fields if size <= bound else None
    assert decoder.decode(encoder.encode(fields)) == expected
    again = HeaderDecoder(PLENTY)
    again._dynamic, again._dynamic_bytes = decoder._dynamic, decoder._dynamic_bytes
    assert again.decode(encoder.encode(fields)) == fields


def test_a_block_that_repeats_a_large_entry_yields_nothing_but_its_length() -> None:
    entry = b"\x40\x01a" + b"\x7f\xa1\x1e" + bytes(4_000)  # fills the table with one entry
    bomb = b"\xbe" * 16_000  # 64 MB, were it handed out
    decoder = HeaderDecoder(16_384)
    assert decoder.decode(entry + bomb) is None
    assert decoder.decode(b"\xbe") == [(b"a", bytes(4_000))]


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbe",  # an entry that is not there
        b"\xff\x80\x80\x80\x80\x80\x01",  # an integer without an end
        b"\x40",  # no name
        b"\x40\x05ab",  # a name that is cut off
        b"\x40\x01a\x85",  # a value that is cut off
        b"\x00\x81\x00\x00",  # Huffman padding that is not ones
        b"\x00\x84\xff\xff\xff\xff\x00",  # the end-of-string symbol
        b"\x3f\xe2\x1f",  # a table of 4,097 bytes
        b"\x82\x20",  # a table size after a field
    ],
)
def test_a_block_that_breaks_a_rule_is_a_compression_error(block: bytes) -> None:
    assert fault_of(block) == ErrorCode.COMPRESSION_ERROR


def test_an_entry_larger_than_the_table_empties_it() -> None:
    decoder = HeaderDecoder(PLENTY)
    decoder.decode(b"\x40\x01a\x01b")
    decoder.decode(b"\x40\x01a" + b"\x7f\xe1\x1f" + bytes(4_192))
    with pytest.raises(H2ConnectionError):
        decoder.decode(b"\xbe")


def test_entries_are_evicted_oldest_first_by_the_table_size() -> None:
    decoder = HeaderDecoder(PLENTY)
    decoder.decode(b"\x3f\x23")  # 66 bytes: room for one entry of 34
    decoder.decode(b"\x40\x01a\x01b")
    decoder.decode(b"\x40\x01c\x01d")
    assert decoder.decode(b"\xbe") == [(b"c", b"d")]
    with pytest.raises(H2ConnectionError):
        decoder.decode(b"\xbf")


def test_a_table_that_shrinks_forgets_and_does_not_remember_when_it_grows() -> None:
    decoder = HeaderDecoder(PLENTY)
    decoder.decode(b"\x40\x01a\x01b" + b"\x40\x01c\x01d")
    assert decoder.decode(b"\x3f\x03\xbe") == [(b"c", b"d")]  # 34 bytes: the newer one fits
    with pytest.raises(H2ConnectionError):
        decoder.decode(b"\x3f\xe1\x1f\xbf")


def test_many_strings_that_differ_leave_bounded_memory_behind() -> None:
    encoder = hpack.Encoder()
    decoder = HeaderDecoder(PLENTY)
    for number in range(2_000):
        decoder.decode(encoder.encode([(b"x-id", b"%d" % number)]))
    assert decoder._dynamic_bytes <= 4_096
    assert len(decoder._dynamic) <= 4_096 // 32


def test_of_a_list_over_the_bound_it_is_known_how_large_it_is_and_what_makes_it_so() -> None:
    decoder = HeaderDecoder(200)
    fields = [
        (b"content-type", b"application/grpc"),
        (b"x-token", b"t" * 500),
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"x-small", b"s"),
        (b"x-notecast-connection", b"7"),
    ]
    assert decoder.decode(encode_headers(fields)) is None
    found = decoder.oversized
    assert found is not None
    assert found.size == sum(32 + len(name) + len(value) for name, value in fields)
    assert found.largest == b"x-token"
    assert found.content_type == b"application/grpc"
    assert found.kept == [fields[2], fields[4]]


def test_of_a_list_over_the_bound_no_more_than_a_few_fields_are_kept_the_last_ones() -> None:
    decoder = HeaderDecoder(200)
    fields = [(b"x-forwarded-for", b"%d" % number) for number in range(1_000)]
    assert decoder.decode(encode_headers(fields)) is None
    assert decoder.oversized is not None
    assert decoder.oversized.kept == fields[-16:]
