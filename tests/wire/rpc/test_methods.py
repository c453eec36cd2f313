"""Methods as they are called: their kinds, and handlers that no call can be given to."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
import pytest

from notecast_wire.rpc.methods import Method


async def one(_request: Any, _context: Any) -> bytes:  # noqa: ANN401 - of any method
    return b"one"


async def many(_request: Any, _context: Any) -> AsyncIterator[bytes]:  # noqa: ANN401
    yield b"one"


def plain(_request: Any, _context: Any) -> bytes:  # noqa: ANN401
    return b"plain"


class Callable:
    async def __call__(self, _request: Any, _context: Any) -> bytes:  # noqa: ANN401
        return b"called"


class Aborted(Exception):  # noqa: N818
    pass


class Context:
    async def abort(self, code: grpc.StatusCode, _details: str) -> None:
        raise Aborted(code)


@pytest.mark.parametrize(
    ("make", "reads_many", "writes_many"),
    [
        (grpc.unary_unary_rpc_method_handler, False, False),
        (grpc.unary_stream_rpc_method_handler, False, True),
        (grpc.stream_unary_rpc_method_handler, True, False),
        (grpc.stream_stream_rpc_method_handler, True, True),
    ],
)
def test_a_method_is_of_the_kind_of_its_handler(
    make: Any,  # noqa: ANN401
    reads_many: bool,  # noqa: FBT001
    writes_many: bool,  # noqa: FBT001
) -> None:
    method = Method("/a.B/C", make(one))
    assert (method.reads_many, method.writes_many) == (reads_many, writes_many)
    assert method.counted == (not writes_many)
    assert method.behaviour is one
    assert not method.generates
    assert method.deserialize(b"x") == method.serialize(b"x") == b"x"


def test_a_generator_writes_a_stream() -> None:
    assert Method("/a.B/C", grpc.unary_stream_rpc_method_handler(many)).generates


@pytest.mark.parametrize("behaviour", [partial(one), Callable()])
def test_what_is_called_like_a_coroutine_function_is_one(behaviour: Any) -> None:  # noqa: ANN401
    assert Method("/a.B/C", grpc.unary_unary_rpc_method_handler(behaviour)).behaviour is behaviour


@pytest.mark.parametrize("behaviour", [plain, many, str.upper])
async def test_a_handler_that_can_not_be_awaited_answers_unimplemented(
    behaviour: Any,  # noqa: ANN401
) -> None:
    method = Method("/a.B/C", grpc.unary_unary_rpc_method_handler(behaviour))
    with pytest.raises(Aborted, match="UNIMPLEMENTED"):
        await method.behaviour(b"", Context())


def test_a_health_check_is_never_counted() -> None:
    method = Method("/grpc.health.v1.Health/Check", grpc.unary_unary_rpc_method_handler(one))
    assert method.asks_health
    assert not method.counted
