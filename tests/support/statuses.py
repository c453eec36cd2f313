"""What an error of a call says in its details."""

from typing import TypeVar

from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

Detail = TypeVar("Detail", bound=Message)


def detail_of(error: aio.AioRpcError, kind: type[Detail]) -> Detail:
    """The detail of a kind; AssertionError where the error has none."""
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            for packed in status_pb2.Status.FromString(value).details:
                detail = kind()
                if packed.Unpack(detail):
                    return detail
    raise AssertionError(f"no {kind.__name__} in {error}")


def reason_of(error: aio.AioRpcError) -> str:
    """The machine-readable name of what is wrong."""
    return str(detail_of(error, error_details_pb2.ErrorInfo).reason)


def retry_delay_ms(error: aio.AioRpcError) -> int:
    """When the server says that the call may be made again."""
    return int(detail_of(error, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds())
