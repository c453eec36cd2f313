"""Requests that can't be parsed: their senders are told what is wrong, and the log stays short."""

import asyncio
from collections import Counter
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio

from notecast.v1.chat_pb2 import RoomSubscription, SendNoteRequest, SubscribeRequest
from tests.support import raw_http2 as raw
from tests.support.health import wait_until_serving
from tests.support.service_process import service_process
from tests.support.services import running_gateway
from tests.support.statuses import detail_of, reason_of
from tests.support.valkey import ValkeyProcess

NOTE = SendNoteRequest(room="den", author="ann", text="some text", labels={"k": "value"})
GARBAGE = b"\xff\xff\xff\xff"
UNREADABLE = {
    "text": ("SendNote", NOTE.SerializeToString().replace(b"some text", b"some\xfftext")),
    "labels[0].value": ("SendNote", NOTE.SerializeToString().replace(b"value", b"valu\xff")),
    "request": ("SendNote", GARBAGE),
    "subscriptions[1].room": (
        "Subscribe",
        SubscribeRequest(subscriptions=[RoomSubscription(room="aa"), RoomSubscription(room="bb")])
        .SerializeToString()
        .replace(b"bb", b"b\xff"),
    ),
}
FLOOD = 150
MOST_LINES = 40
"""A burst of each event, and the lines of a beginning and an end."""


async def refused(channel: aio.Channel, method: str, request: bytes) -> aio.AioRpcError:
    call: Any = channel.unary_unary(f"/notecast.v1.ChatService/{method}")
    with pytest.raises(aio.AioRpcError) as error:
        await call(request, timeout=10)
    return error.value


@pytest.mark.parametrize("field", UNREADABLE)
async def test_what_can_not_be_parsed_is_an_invalid_request_that_names_the_field(
    field: str, valkey: ValkeyProcess
) -> None:
    async with running_gateway(valkey.url) as gateway:
        error = await refused(gateway.channel, *UNREADABLE[field])
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(error) == "INVALID_REQUEST"
        violations = detail_of(error, error_details_pb2.BadRequest).field_violations
        assert [violation.field for violation in violations] == [field]


async def test_clients_that_send_nonsense_and_leave_cost_some_lines_and_no_stack(
    valkey: ValkeyProcess,
) -> None:
    async with service_process("chat_gateway", valkey.url) as process:
        await wait_until_serving(process.target)
        async with aio.insecure_channel(process.target) as channel:
            for _ in range(FLOOD):
                await refused(channel, "SendNote", GARBAGE)
        await asyncio.to_thread(break_rules_and_leave, int(process.target.rpartition(":")[2]))
        ending = await process.stop()
    assert ending.code == 0
    events = Counter(line["event"] for line in ending.log)
    assert len(ending.log) <= MOST_LINES, events
    # grpcio's own core says at times that a client has left: it is limited, and not ours to word.
    ours = [line for line in ending.log if line.get("library") != "grpc._cython.cygrpc"]
    assert [line for line in ours if "exception" in line or line["level"] == "error"] == []


def break_rules_and_leave(port: int) -> None:
    """Clients that speak no HTTP/2, and some that leave in the middle of a call."""
    request = raw.headers(1, raw.request("/notecast.v1.ChatService/SendNote"))
    watch = raw.headers(1, raw.request("/grpc.health.v1.Health/Watch"))
    for _ in range(FLOOD):
        with raw.RawConnection(port) as client:
            client.send(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        with raw.RawConnection(port) as client:
            client.open()
            client.send(request + raw.data(1, raw.message(NOTE.SerializeToString()), end=True))
        with raw.RawConnection(port) as client:
            client.open((raw.INITIAL_WINDOW_SIZE, 0))
            client.send(watch + raw.data(1, raw.message(b""), end=True))
