import base64
from typing import TypeVar

import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from chat_gateway.log.positions import RoomPosition
from notecast_runtime.errors import (
    FieldViolation,
    HistoryUnavailableError,
    InvalidRequestError,
    NotecastError,
    OverloadedError,
    RedisUnavailableError,
    ShuttingDownError,
    SlowReaderError,
    TooManyRoomsError,
    TooManyStreamsError,
    WritesRefusedError,
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
        (WritesRefusedError("redis_full", "Redis is full"), "WRITES_REFUSED"),
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


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TooManyStreamsError(10), "TOO_MANY_STREAMS"),
        (TooManyRoomsError(10), "TOO_MANY_ROOMS"),
        (SlowReaderError([], 61, 60), "SLOW_READER"),
    ],
)
def test_a_bound_that_is_reached_is_named_and_the_call_may_be_made_again(
    error: NotecastError, reason: str
) -> None:
    status = status_of(error)
    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    info = detail(status, error_details_pb2.ErrorInfo)
    retry = detail(status, error_details_pb2.RetryInfo)
    assert info is not None
    assert (info.reason, info.domain) == (reason, "notecast.v1")
    assert retry is not None
    assert retry.retry_delay.ToMilliseconds() > 0


def test_a_slow_reader_is_told_where_to_resume_in_each_room() -> None:
    positions = [RoomPosition("red", 7, 12), RoomPosition("blue", 8, 0)]
    info = detail(status_of(SlowReaderError(positions, 61.26, 60)), error_details_pb2.ErrorInfo)
    assert info is not None
    assert dict(info.metadata) == {
        "rooms": "2",
        "waited_seconds": "61.3",
        "limit_seconds": "60",
        "room": "red",
        "epoch": "7",
        "sequence": "12",
        "room_2": "blue",
        "epoch_2": "8",
        "sequence_2": "0",
    }


def test_a_slow_reader_s_status_fits_the_trailing_metadata_however_many_rooms_it_followed() -> None:
    largest = 2**64 - 1
    positions = [RoomPosition(f"{number:128}", largest, largest) for number in range(1_024)]
    status = status_of(SlowReaderError(positions, 3_600, 3_600))
    info = detail(status, error_details_pb2.ErrorInfo)
    assert info is not None
    assert info.metadata["rooms"] == "1024"
    assert "room_16" in info.metadata
    assert len(base64.b64encode(status.SerializeToString())) < 6_000
