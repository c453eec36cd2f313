"""The errors that a call may raise, each with the fields that describe it.

ClientError
├── RequestRefusedError       the server won't do this; asking again won't help
├── ServerFaultError          the server failed, or doesn't speak this protocol
└── ServerUnavailableError    the server is away; the same may succeed later
    ├── NotConnectedError     no server was ever reached
    └── NoAnswerError         a server was reached and did not answer in time
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from grpc_status import rpc_status

Detail = TypeVar("Detail", bound=Message)

_UNREACHED = re.compile(r"failed to connect to all addresses.*: ", re.DOTALL)
"""The beginning of gRPC's text, with every address, before the system's reason."""

_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)


class FieldViolation(NamedTuple):
    """A fault of one field of the request (google.rpc.BadRequest)."""

    field: str
    """The field's path, as in `subscriptions[0].after`."""

    fault: str
    """The fault of the value, in the server's words."""


class ClientError(Exception):
    """The base of all errors that a call may raise."""


class RequestRefusedError(ClientError):
    """The server refused the request and did nothing.

    `code` is the gRPC status, `reason` the server's machine-readable name for it (empty if it gave
    none), `violations` the fields at fault.
    """

    def __init__(
        self,
        message: str,
        code: grpc.StatusCode,
        reason: str = "",
        violations: Sequence[FieldViolation] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.violations = tuple(violations)

    def concerns_only(self, field: str) -> bool:
        """Whether only this field is at fault: with another value, the server would accept it."""
        return {violation.field for violation in self.violations} == {field}


class ServerFaultError(ClientError):
    """The server failed in a way that is not the request's fault.

    `code` is the gRPC status. A request that changes something may have been carried out.
    """

    def __init__(self, message: str, code: grpc.StatusCode) -> None:
        super().__init__(message)
        self.code = code


class ServerUnavailableError(ClientError):
    """The server, or a part that it needs, is away.

    A request that changes something may have been carried out: perhaps only the answer was lost.
    `reason` is the server's name for what is away (empty if the connection broke),
    `retry_after_seconds` the server's advice, None if it gave none.
    """

    def __init__(
        self, message: str, reason: str = "", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class NotConnectedError(ServerUnavailableError):
    """No server was reached at `target` within `seconds`; nothing was sent."""

    def __init__(self, target: str, seconds: float) -> None:
        super().__init__(f"no server at {target}")
        self.target = target
        self.seconds = seconds


class NoAnswerError(ServerUnavailableError):
    """The server did not answer within `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")
        self.seconds = seconds


_PASSING_FAULTS = frozenset(
    {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED}
)
"""The codes that a proxy sends if a server died during a call; a server's bug may have them too."""

_PUSHBACK = "grpc-retry-pushback-ms"


def may_pass(error: ServerUnavailableError | ServerFaultError) -> bool:
    """Whether the same call may succeed soon, on a server that was already reached."""
    if isinstance(error, ServerFaultError):
        return error.code in _PASSING_FAULTS
    return not isinstance(error, NotConnectedError)


def retry_advice(error: ServerUnavailableError | ServerFaultError) -> float | None:
    """Finds the seconds that the server asks to wait; None if it does not say."""
    return error.retry_after_seconds if isinstance(error, ServerUnavailableError) else None


def error_of(error: aio.AioRpcError, timeout: float) -> ClientError:
    """Makes an error of a failed call: its code decides the kind, its details fill the fields.

    Args:
        error: the error that gRPC raised.
        timeout: the call's deadline in seconds, to report if it was missed.
    """
    code = error.code()
    details = _details_of(error)
    message = error.details() or code.name
    reason = next((info.reason for info in _of_kind(details, error_details_pb2.ErrorInfo)), "")
    if code in _REFUSALS:
        violations = [
            FieldViolation(violation.field, violation.description)
            for request in _of_kind(details, error_details_pb2.BadRequest)
            for violation in request.field_violations
        ]
        return RequestRefusedError(message, code, reason, violations)
    delays = [
        info.retry_delay.ToTimedelta().total_seconds()
        for info in _of_kind(details, error_details_pb2.RetryInfo)
    ]
    delays += _pushback(error)
    # A reached bound may have room again soon; the server's advice says so.
    full = code is grpc.StatusCode.RESOURCE_EXHAUSTED and delays
    if code is grpc.StatusCode.UNAVAILABLE or full:
        return ServerUnavailableError(
            _UNREACHED.sub("can't connect: ", message), reason, max(delays, default=None)
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return NoAnswerError(timeout)
    return ServerFaultError(message, code)


def _details_of(error: aio.AioRpcError) -> status_pb2.Status:
    """The google.rpc.Status of the trailing metadata; empty if missing or broken."""
    try:
        # The parameter's type is that of blocking calls; errors of grpc.aio have the same methods.
        return rpc_status.from_call(cast(grpc.Call, error)) or status_pb2.Status()
    except (ValueError, DecodeError):
        return status_pb2.Status()


def _pushback(error: aio.AioRpcError) -> Iterable[float]:
    """The seconds to wait, from a server that sends no details (A6-client-retries).

    Less than 0 means never.
    """
    for key, value in error.trailing_metadata() or ():
        if key == _PUSHBACK and isinstance(value, str) and value.isdecimal():
            yield int(value) / 1_000


def _of_kind(status: status_pb2.Status, kind: type[Detail]) -> Iterable[Detail]:
    for packed in status.details:
        detail = kind()
        if packed.Unpack(detail):
            yield detail
