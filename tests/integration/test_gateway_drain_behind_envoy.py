"""Gateways that end behind Envoy, as it is shipped: whoever uses them notices nothing."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
from grpc import aio

from notecast.v1.chat_pb2 import ListNotesRequest, RoomSubscription, SendNoteRequest
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from notecast_client.client import Client
from tests.support.gateway_process import started_gateway
from tests.support.health import wait_until_serving
from tests.support.history_replicas import HistoryReplica
from tests.support.ports import free_port
from tests.support.services import running_history
from tests.support.shipped_envoy import shipped_envoy
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(120)

READERS = 40
SENDERS = 4


class Users:
    """Clients of one address, that try nothing again of what they call: all of it must succeed.

    Only streams are resumed, as their server asks for.
    """

    def __init__(self, target: str) -> None:
        self.sent: list[str] = []
        self.heard: list[list[str]] = [[] for _ in range(READERS)]
        self.losses: list[object] = []
        self.going_on = True
        self._target = target

    async def send(self, number: int) -> None:
        async with aio.insecure_channel(self._target) as channel:
            stub = ChatServiceStub(channel)
            while self.going_on:
                text = f"{number}.{len(self.sent)}"
                request = SendNoteRequest(room="lobby", author="ann", text=text)
                await stub.SendNote(request, timeout=20)
                self.sent.append(text)
                await stub.ListNotes(ListNotesRequest(room="lobby", page_size=1), timeout=20)

    async def read(self, client: Client, heard: list[str]) -> None:
        start = RoomSubscription(room="lobby", from_start=True)
        events = client.subscribe(start, on_lost=lambda *lost: self.losses.append(lost))
        async with aclosing(events):
            async for event in events:
                heard += [event.note.text] if event.HasField("note") else []


async def test_gateways_that_are_restarted_in_turn_fail_no_call_and_lose_no_stream(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    """A rolling restart cuts no stream and fails no call."""
    times: dict[str, Any] = {"drain_spread_seconds": 1}
    async with AsyncExitStack() as stack:
        # In a process of its own: the users keep this one busy, and gateways wait for history.
        history = stack.enter_context(HistoryReplica(valkey)).target
        await wait_until_serving(history, seconds=20)
        gateways = [
            await stack.enter_async_context(started_gateway(valkey.url, history, **times))
            for _ in range(2)
        ]
        targets = [gateway.target for _, gateway in gateways]
        envoy = await stack.enter_async_context(shipped_envoy(targets, tmp_path))
        client = await stack.enter_async_context(Client(envoy.target))
        users = Users(envoy.target)

        async def both_are_used() -> bool:
            return await envoy.healthy() == 2

        reading = [asyncio.create_task(users.read(client, heard)) for heard in users.heard]
        sending = [asyncio.create_task(users.send(number)) for number in range(SENDERS)]
        await eventually(lambda: all(users.heard), "all hear", 20)
        for process, gateway in gateways:
            await eventually(both_are_used, "Envoy deals out to both", 20)
            process.terminate()
            async with asyncio.timeout(20):
                assert await process.wait() == 0
            port = int(gateway.target.rpartition(":")[2])
            await stack.enter_async_context(
                started_gateway(valkey.url, history, port=port, **times)
            )
        await eventually(both_are_used, "Envoy deals out to both", 20)
        users.going_on = False
        await asyncio.gather(*sending)  # raises what failed
        whole = set(users.sent)
        await eventually(
            lambda: all(len(heard) >= len(whole) for heard in users.heard), "all have all", 20
        )
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    assert all(sorted(heard) == sorted(whole) for heard in users.heard)
    assert all(heard == users.heard[0] for heard in users.heard)
    assert not users.losses


async def test_a_gateway_that_is_added_gets_its_share_of_the_streams_within_their_lifetime(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    """Streams do not stay on old replicas after a scale-up."""
    port = free_port()
    lifetime: dict[str, Any] = {"stream_lifetime_seconds": 2}
    async with AsyncExitStack() as stack:
        history = await stack.enter_async_context(running_history(valkey.url))
        old = started_gateway(valkey.url, history, **lifetime)
        _, gateway = await stack.enter_async_context(old)
        targets = [gateway.target, f"127.0.0.1:{port}"]
        envoy = await stack.enter_async_context(shipped_envoy(targets, tmp_path))
        client = await stack.enter_async_context(Client(envoy.target))
        users = Users(envoy.target)
        await gateway.send("lobby", "hello")
        reading = [asyncio.create_task(users.read(client, heard)) for heard in users.heard]
        await eventually(lambda: all(users.heard), "all hear", 20)
        assert (await envoy.calls())[0] >= READERS - 5
        await stack.enter_async_context(started_gateway(valkey.url, history, port=port, **lifetime))

        async def is_even() -> bool:
            return all(0.4 * READERS <= calls <= 0.6 * READERS for calls in await envoy.calls())

        await eventually(is_even, "the streams are spread evenly", 20)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    assert users.heard == [["hello"]] * READERS
    assert not users.losses
