from typing import TypeVar

import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from notecast_runtime.errors import (
    FieldViolation,
    HistoryUnavailableError,
    InvalidRequestError,
    NotecastError,
    OverloadedError,
    RedisUnavailableError,
    ShuttingDownError,
)
from notecast_runtime.status import status_of

M = TypeVar("M", bound=Message)


def detail(status: status_pb2.Status, kind: type[M]) -> M | None:
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None


def test_a_field_at_fault_is_a_bad_request_that_names_it() -> None:
    status = status_of(InvalidRequestError([FieldViolation("room", "is empty")]))
    assert status.code == code_pb2.INVALID_ARGUMENT
    bad = detail(status, error_details_pb2.BadRequest)
    assert bad is not None
    assert [(v.field, v.description) for v in bad.field_violations] == [("room", "is empty")]
    assert detail(status, error_details_pb2.RetryInfo) is None


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RedisUnavailableError("away"), "REDIS_UNAVAILABLE"),
        (HistoryUnavailableError("away"), "HISTORY_UNAVAILABLE"),
        (OverloadedError("full"), "OVERLOADED"),
        (ShuttingDownError("bye"), "SHUTTING_DOWN"),
    ],
)
def test_what_is_away_may_be_tried_again_after_a_while(error: NotecastError, reason: str) -> None:
    status = status_of(error)
    assert status.code == code_pb2.UNAVAILABLE
    info = detail(status, error_details_pb2.ErrorInfo)
    retry = detail(status, error_details_pb2.RetryInfo)
    assert info is not None
    assert (info.reason, info.domain) == (reason, "notecast.v1")
    assert retry is not None
    assert retry.retry_delay.ToMilliseconds() > 0
