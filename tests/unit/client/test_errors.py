"""What a failed call becomes."""

import grpc
import pytest
from grpc import aio

from notecast_client.errors import (
    NoAnswerError,
    RequestRefusedError,
    ServerFaultError,
    ServerUnavailableError,
    error_of,
)
from notecast_runtime.errors import (
    FieldViolation,
    InvalidRequestError,
    NotecastError,
    RedisUnavailableError,
    TooManyStreamsError,
)
from notecast_runtime.status import status_of


def as_raised(error: NotecastError, code: grpc.StatusCode) -> aio.AioRpcError:
    """As the client's gRPC raises what the server makes of its error."""
    status = status_of(error)
    details = aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return aio.AioRpcError(code, aio.Metadata(), details, details=status.message)


def test_a_refusal_names_each_field_at_fault_and_its_reason() -> None:
    violations = (FieldViolation("room", "is empty"), FieldViolation("text", "is too long"))
    refused = error_of(
        as_raised(InvalidRequestError(violations), grpc.StatusCode.INVALID_ARGUMENT), 1
    )
    assert isinstance(refused, RequestRefusedError)
    assert [tuple(each) for each in refused.violations] == [tuple(each) for each in violations]
    assert refused.reason == "INVALID_REQUEST"
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT


def test_an_unavailable_server_says_when_to_try_again() -> None:
    away = error_of(as_raised(RedisUnavailableError("gone"), grpc.StatusCode.UNAVAILABLE), 1)
    assert isinstance(away, ServerUnavailableError)
    assert (away.retry_after_seconds, away.reason) == (1.0, "REDIS_UNAVAILABLE")
    assert str(away) == "gone"


def test_a_server_that_is_full_is_one_to_try_again() -> None:
    full = error_of(as_raised(TooManyStreamsError(10), grpc.StatusCode.RESOURCE_EXHAUSTED), 1)
    assert isinstance(full, ServerUnavailableError)
    assert full.reason == "TOO_MANY_STREAMS"
    assert full.retry_after_seconds


@pytest.mark.parametrize(("said", "seconds"), [("1500", 1.5), ("0", 0.0)])
def test_a_server_that_says_when_without_details_is_one_to_try_again(
    said: str, seconds: float
) -> None:
    metadata = aio.Metadata(("grpc-retry-pushback-ms", said))
    error = aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, aio.Metadata(), metadata)
    full = error_of(error, 1)
    assert isinstance(full, ServerUnavailableError)
    assert full.retry_after_seconds == seconds


@pytest.mark.parametrize("said", ["-1", "soon", ""])
def test_a_server_that_says_never_is_not_one_to_try_again(said: str) -> None:
    metadata = aio.Metadata(("grpc-retry-pushback-ms", said))
    error = aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, aio.Metadata(), metadata)
    assert isinstance(error_of(error, 1), ServerFaultError)


def test_a_message_that_is_too_large_is_not_one_to_try_again() -> None:
    error = aio.AioRpcError(grpc.StatusCode.RESOURCE_EXHAUSTED, aio.Metadata(), aio.Metadata())
    assert isinstance(error_of(error, 1), ServerFaultError)


def test_a_missed_deadline_is_no_answer_within_it() -> None:
    late = error_of(
        aio.AioRpcError(grpc.StatusCode.DEADLINE_EXCEEDED, aio.Metadata(), aio.Metadata()), 2.5
    )
    assert isinstance(late, NoAnswerError)
    assert str(late) == "no answer within 2.5 s"


@pytest.mark.parametrize("details", [b"\xff\xff", b"", b"\x08\x03"])
def test_details_that_are_broken_or_contradict_the_status_are_passed_over(details: bytes) -> None:
    raised = aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE,
        aio.Metadata(),
        aio.Metadata(("grpc-status-details-bin", details)),
        details="away",
    )
    away = error_of(raised, 1)
    assert isinstance(away, ServerUnavailableError)
    assert (str(away), away.retry_after_seconds) == ("away", None)


def test_a_server_that_is_not_there_is_told_of_in_few_words() -> None:
    long = (
        "failed to connect to all addresses; last error: UNKNOWN: ipv6:%5B::1%5D:1: "
        "Failed to connect to remote host: Connection refused"
    )
    raised = aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, aio.Metadata(), aio.Metadata(), details=long
    )
    assert str(error_of(raised, 1)) == "can't connect: Connection refused"


def test_any_other_code_is_the_servers_fault() -> None:
    fault = error_of(
        aio.AioRpcError(grpc.StatusCode.UNIMPLEMENTED, aio.Metadata(), aio.Metadata()), 1
    )
    assert isinstance(fault, ServerFaultError)
    assert str(fault) == "UNIMPLEMENTED"
