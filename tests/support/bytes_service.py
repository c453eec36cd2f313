"""A service of plain bytes: nothing but the transport is at work."""

import asyncio
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator
from functools import cache

import grpc
from grpc import aio

Context = aio.ServicerContext[bytes, bytes]

NAME = "test.Bytes"


def handler() -> grpc.GenericRpcHandler:
    """For `add_generic_rpc_handlers`."""
    return grpc.method_handlers_generic_handler(
        NAME,
        {
            "Echo": grpc.unary_unary_rpc_method_handler(_echo),
            "Count": grpc.stream_unary_rpc_method_handler(_count),
            "Ignore": grpc.stream_unary_rpc_method_handler(_ignore),
            "Flood": grpc.unary_stream_rpc_method_handler(_flood),
            "Hang": grpc.unary_unary_rpc_method_handler(_hang),
            "Census": grpc.unary_unary_rpc_method_handler(_census),
        },
    )


async def _echo(request: bytes, _: Context) -> bytes:
    return request


async def _count(requests: AsyncIterator[bytes], _: Context) -> bytes:
    """How many bytes came, in decimal digits."""
    size = 0
    async for request in requests:
        size += len(request)
    return b"%d" % size


async def _ignore(_: AsyncIterator[bytes], context: Context) -> bytes:
    """Reads no message, until the client leaves."""
    return await _hang(b"", context)


async def _flood(request: bytes, _: Context) -> AsyncIterator[bytes]:
    """Messages of as many bytes as the request's first two say, until the client leaves."""
    message = _zeros(int.from_bytes(request[:2]))
    while True:
        yield message
        await asyncio.sleep(0)


@cache
def _zeros(size: int) -> bytes:
    """The same for all calls, whose own memory is what is looked at."""
    return bytes(size)


async def _hang(_: bytes, __: Context) -> bytes:
    """No answer, until the client leaves."""
    await asyncio.Event().wait()
    return b""


async def _census(_: bytes, __: Context) -> bytes:
    """What lives in the server's process: its tasks, and the package's objects by class."""
    gc.collect()
    census = Counter(
        type(thing).__qualname__
        for thing in gc.get_objects()
        if str(type(thing).__module__).startswith("notecast_wire.")
    )
    return json.dumps({"tasks": len(asyncio.all_tasks()), **census}).encode()
