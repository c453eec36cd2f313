"""Metadata, timeouts and details between Python and the wire."""

import base64
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notecast_wire.rpc.metadata import (
    MalformedMetadataError,
    MalformedTimeoutError,
    decode_metadata,
    encode_metadata,
    parse_timeout,
    percent_encode,
)

NAMES = st.from_regex(r"x[0-9a-z_.-]{0,10}y", fullmatch=True)
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))


@given(st.lists(st.tuples(NAMES, TEXTS)))
def test_text_metadata_comes_back_in_order_without_space_around_it(
    metadata: list[tuple[str, str]],
) -> None:
    decoded = decode_metadata(encode_metadata(metadata))
    assert list(decoded) == [(key, value.strip(" ")) for key, value in metadata]


@given(st.lists(st.tuples(NAMES.map(lambda name: name + "-bin"), st.binary(max_size=30))))
def test_binary_metadata_comes_back_as_it_was(metadata: list[tuple[str, bytes]]) -> None:
    headers = encode_metadata(metadata)
    assert list(decode_metadata(headers)) == metadata
    assert not any(value.endswith(b"=") for _, value in headers)


@given(st.lists(st.binary(min_size=1, max_size=10), min_size=1))
def test_joined_binary_values_come_apart_padded_or_not(values: list[bytes]) -> None:
    for strip in (b"", b"="):
        joined = b", ".join(base64.b64encode(value).rstrip(strip) for value in values)
        decoded = decode_metadata([(b"a-bin", joined)])
        assert [value for _, value in decoded] == values


@given(st.binary(max_size=20))
def test_any_binary_value_is_decoded_or_an_error(value: bytes) -> None:
    try:
        decoded = decode_metadata([(b"a-bin", value)])
    except MalformedMetadataError:
        return
    assert all(isinstance(part, bytes) for _, part in decoded)


@given(st.lists(st.tuples(st.binary(max_size=10), st.binary(max_size=10))))
def test_what_is_handed_to_an_application_can_be_sent_again(
    headers: list[tuple[bytes, bytes]],
) -> None:
    try:
        metadata = decode_metadata(headers)
    except MalformedMetadataError:
        return
    encode_metadata([(key, value) for key, value in metadata if key.islower() and key.isalnum()])


def test_what_belongs_to_the_transport_is_no_metadata() -> None:
    headers = [
        (b":path", b"/a/b"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"grpc-timeout", b"1S"),
        (b"grpc-encoding", b"gzip"),
        (b"user-agent", b"me"),
        (b"grpc-status-details-bin", b"AA"),
        (b"bad", b"\x80"),
    ]
    assert decode_metadata(headers) == (("user-agent", "me"), ("grpc-status-details-bin", b"\0"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3_600),
        (b"2M", 120),
        (b"3S", 3),
        (b"4m", 0.004),
        (b"5u", 0.000_005),
        (b"6n", 0.000_000_006),
        (b"99999999S", 99_999_999),
        (b"0m", 0),
    ],
)
def test_a_timeout_is_a_number_and_a_unit(value: bytes, seconds: float) -> None:
    assert parse_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", [b"", b"S", b"1", b"1s", b"-1S", b"1.5S", b"123456789S", b"\xb2S"]
)
def test_anything_else_is_no_timeout(value: bytes) -> None:
    with pytest.raises(MalformedTimeoutError):
        parse_timeout(value)


@given(st.text())
def test_details_come_back_from_percent_encoding(details: str) -> None:
    encoded = percent_encode(details)
    assert unquote_to_bytes(encoded) == details.encode("utf-8", "replace")
    assert all(0x20 <= octet <= 0x7E for octet in encoded)
    assert encoded == encoded.strip()


def test_plain_details_stay_as_they_are() -> None:
    assert percent_encode("no such room: lobby/2 (~)") == b"no such room: lobby/2 (~)"
    assert percent_encode("100 %") == b"100 %25"


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("Bad Key", "value", ValueError),
        (":status", "200", ValueError),
        ("x-bytes-bin", "text", TypeError),
        ("x-text", "caf\u00e9", ValueError),
        ("x-text", "line\nbreak", ValueError),
    ],
)
def test_what_may_not_be_sent_is_named_by_its_key_alone(
    key: str, value: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        encode_metadata([(key, value)])
    assert key in str(raised.value)
    assert value not in str(raised.value)


@pytest.mark.parametrize(
    ("details", "encoded"), [(" a b ", b"%20a b%20"), ("  ", b"%20%20"), ("a ", b"a%20")]
)
def test_space_at_the_ends_of_details_is_encoded(details: str, encoded: bytes) -> None:
    assert percent_encode(details) == encoded
