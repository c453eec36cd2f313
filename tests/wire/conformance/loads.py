"""Clients that call without a pause: half of their workers make unary calls, half short streams."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from grpc import aio

from tests.support.interop_service import Stub, messages
from tests.wire.conformance.clients import program

_WORKERS = 16
_MESSAGES = 4
_INTERVAL_MICROSECONDS = 50_000
_CALL_SECONDS = 20


class Load:
    """What came of the calls; complete once the load has ended.

    Attributes:
        statuses: calls by how they ended, with the text of what is neither OK nor cancelled.
        answered: messages that came.
    """

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.answered = 0


@asynccontextmanager
async def grpc_python(target: str) -> AsyncIterator[Load]:
    """Load of `grpc.aio` on a target, for as long as the block lasts, and the calls after it."""
    load = Load()
    ended = asyncio.Event()
    async with aio.insecure_channel(target) as channel, asyncio.TaskGroup() as workers:
        for number in range(_WORKERS):
            workers.create_task(_work(Stub(channel), load, ended, streams=number % 2 == 0))
        try:
            yield load
        finally:
            ended.set()


async def _work(stub: Stub, load: Load, ended: asyncio.Event, *, streams: bool) -> None:
    one = messages.ResponseParameters(size=1000, interval_us=_INTERVAL_MICROSECONDS)
    while not ended.is_set():
        try:
            if streams:
                wanted = messages.StreamingOutputCallRequest(response_parameters=[one] * _MESSAGES)
                async for _ in stub.StreamingOutputCall(wanted, timeout=_CALL_SECONDS):
                    load.answered += 1
            else:
                wanted = messages.SimpleRequest(response_size=1000)
                await stub.UnaryCall(wanted, timeout=_CALL_SECONDS)
                load.answered += 1
        except aio.AioRpcError as error:
            load.statuses[f"{error.code().name}: {error.details()}"] += 1
        else:
            load.statuses["OK"] += 1


@asynccontextmanager
async def grpc_go(client: Path, targets: str) -> AsyncIterator[Load]:
    """The same of grpc-go, which uses the first of some servers that can be reached.

    Args:
        client: the program.
        targets: the servers, with commas between.
    """
    load = Load()
    async with program(client, f"-servers={targets}", "-case=drain") as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"calling\n"
        yield load
        said, complaints = await process.communicate(b"")
    assert process.returncode == 0, complaints.decode()
    seen = json.loads(said)
    load.statuses.update(seen["statuses"])
    load.answered = seen["answered"]
