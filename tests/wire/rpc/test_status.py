"""Statuses as header blocks, and the answers to requests that are refused by their headers."""

import pytest
from grpc import StatusCode

from notecast_wire.fairness.shares import ShareRefusal
from notecast_wire.http2.header_decoder import HeaderDecoder
from notecast_wire.http2.refusals import Refusal, refuse_plainly
from notecast_wire.rpc.status import (
    OK_TRAILERS,
    over_share,
    refuse_call,
    response_headers,
    status_code,
    trailers,
    trailers_only,
)


def decoded(block: bytes) -> dict[bytes, bytes]:
    return dict(HeaderDecoder(65_536).decode(block) or ())


def test_a_status_may_be_given_by_its_number() -> None:
    assert status_code(14) is StatusCode.UNAVAILABLE
    assert status_code(StatusCode.OK) is StatusCode.OK
    with pytest.raises(ValueError, match="99 is no status code"):
        status_code(99)


def test_a_response_begins_with_its_encoding_and_metadata() -> None:
    assert b"grpc-encoding" not in decoded(response_headers([], gzip=False))
    fields = decoded(response_headers([(b"x-a", b"1")], gzip=True))
    assert (fields[b":status"], fields[b"grpc-encoding"], fields[b"x-a"]) == (b"200", b"gzip", b"1")


def test_a_response_ends_with_its_status_words_and_metadata() -> None:
    assert trailers(StatusCode.OK, "", []) == OK_TRAILERS
    fields = decoded(trailers(StatusCode.NOT_FOUND, "no room", [(b"x-a", b"1")]))
    assert fields == {b"grpc-status": b"5", b"grpc-message": b"no room", b"x-a": b"1"}


def test_a_response_without_a_message_is_one_block() -> None:
    fields = decoded(trailers_only(StatusCode.INTERNAL, "", []))
    assert (fields[b":status"], fields[b"grpc-status"]) == (b"200", b"13")
    assert b"grpc-message" not in fields


def test_a_call_over_its_share_may_be_tried_again_soon() -> None:
    error = over_share(ShareRefusal("calls", "client", 4))
    assert error.code is StatusCode.RESOURCE_EXHAUSTED
    assert "calls" in error.details
    assert dict(error.metadata)[b"grpc-retry-pushback-ms"]
    assert str(error) == f"RESOURCE_EXHAUSTED: {error.details}"


@pytest.mark.parametrize("status", [b"429", b"431"])
def test_a_refused_call_is_told_so_in_grpcs_words(status: bytes) -> None:
    fields = decoded(refuse_call(Refusal(status, b"application/grpc+proto", "too much")))
    assert (fields[b"grpc-status"], fields[b"grpc-message"]) == (b"8", b"too much")
    assert (b"grpc-retry-pushback-ms" in fields) == (status == b"429")


def test_a_refused_request_that_is_no_call_is_told_so_in_https_words() -> None:
    refusal = Refusal(b"429", b"text/html", "too much")
    assert refuse_call(refusal) == refuse_plainly(refusal)
