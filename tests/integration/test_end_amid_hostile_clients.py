"""A service that is told to end is gone within its grace, whatever clients and Redis do."""

import time
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest

from notecast.v1.chat_pb2 import RoomSubscription, SendNoteRequest, SubscribeRequest
from tests.support import raw_http2 as raw
from tests.support.health import wait_until_serving
from tests.support.service_process import service_process
from tests.support.valkey import ValkeyProcess

GRACE_SECONDS = 3.0
INTERPRETER_SECONDS = 1.0
"""For its own end, on a machine that is busy with other tests."""
NOTHING = (raw.INITIAL_WINDOW_SIZE, 0)

WATCH = ("/grpc.health.v1.Health/Watch", HealthCheckRequest(service="readiness"))
REFLECT = ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", None)
SUBSCRIBE = (
    "/notecast.v1.ChatService/Subscribe",
    SubscribeRequest(subscriptions=[RoomSubscription(room="den", last=1)]),
)
TUTORIAL = ("/grpc.ChatServer/ChatStream", SendNoteRequest())
SEND = ("/notecast.v1.ChatService/SendNote", SendNoteRequest(room="den", author="a", text="t"))

CALLS: dict[str, list[tuple[str, Any]]] = {
    "chat_gateway": [WATCH, REFLECT, SUBSCRIBE, TUTORIAL, SEND],
    "history": [WATCH, REFLECT],
}


def call(stream_id: int, path: str, request: Any) -> bytes:  # noqa: ANN401 - any message, or none
    """A call whose client says all that it has to; without a request, it says nothing more."""
    begun = raw.headers(stream_id, raw.request(path))
    if request is None:
        return begun
    return begun + raw.data(stream_id, raw.message(request.SerializeToString()), end=True)


def hostile(port: int, calls: list[tuple[str, Any]], stack: ExitStack) -> None:
    """Clients that read nothing, some not even the socket, and one that stops in its request."""
    octets = b"".join(call(1 + 2 * n, *each) for n, each in enumerate(calls))
    for reads in (True, False):
        client = stack.enter_context(raw.RawConnection(port, reads=reads))
        client.open(NOTHING)
        client.send(octets)
    half = stack.enter_context(raw.RawConnection(port))
    half.open()
    half.send(raw.headers(1, raw.request(calls[-1][0])) + raw.data(1, b"\0\0\0\1\0half"))
    silent = stack.enter_context(raw.RawConnection(port))
    silent.send(raw.PREFACE[:10])


@pytest.mark.parametrize("redis", ["answers", "hangs"])
async def test_a_gateway_is_gone_within_its_grace(redis: str, valkey: ValkeyProcess) -> None:
    await ends_in_time("chat_gateway", redis, valkey)


@pytest.mark.parametrize("redis", ["answers", "hangs"])
async def test_a_history_service_is_gone_within_its_grace(
    redis: str, valkey: ValkeyProcess
) -> None:
    await ends_in_time("history", redis, valkey)


async def ends_in_time(module: str, redis: str, valkey: ValkeyProcess) -> None:
    times: dict[str, Any] = {"shutdown_grace_seconds": GRACE_SECONDS}
    if module == "chat_gateway":
        times |= {"drain_notice_seconds": 0, "drain_spread_seconds": 0.2}
    async with service_process(module, valkey.url, **times) as process:
        await wait_until_serving(process.target)
        with ExitStack() as stack:
            hostile(int(process.target.rpartition(":")[2]), CALLS[module], stack)
            await wait_until_serving(process.target)  # all that came before it was taken
            if redis == "hangs":
                valkey.pause()
            began = time.monotonic()
            ending = await process.stop()
            took = time.monotonic() - began
    assert ending.code == 0
    times_of = {line["event"]: datetime.fromisoformat(line["timestamp"]) for line in ending.log}
    assert (times_of["stopped"] - times_of["asked_to_end"]).total_seconds() <= GRACE_SECONDS
    assert took <= GRACE_SECONDS + INTERPRETER_SECONDS
