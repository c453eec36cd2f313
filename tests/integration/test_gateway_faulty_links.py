"""Between a gateway and Redis the network loses answers, and whole connections, in silence."""

import asyncio
import time

import pytest
from grpc import aio

from notecast.v1.chat_pb2 import SendNoteRequest
from notecast_runtime.keyspace import outbox_key, partition_of
from tests.chaos.proxy import Proxy, ReplyTrap
from tests.support.health import wait_for_health, wait_until_serving
from tests.support.services import running_gateway, texts
from tests.support.valkey import ValkeyProcess

NOTE = SendNoteRequest(room="lobby", author="ann", text="once", note_id="n-1")


async def test_a_send_whose_answer_was_lost_after_it_ran_is_one_note(
    valkey: ValkeyProcess,
) -> None:
    """No part repeats the script by itself; the sender repeats it with the same id."""
    async with (
        Proxy(valkey.port) as proxy,
        running_gateway(proxy.redis_url) as gateway,
        running_gateway(valkey.url) as other,
        other.read("lobby") as reader,
    ):
        await gateway.send("den", "from now on Redis knows the script")
        proxy.trap = trap = ReplyTrap(b"EVALSHA")
        with pytest.raises(aio.AioRpcError):
            await gateway.stub.SendNote(NOTE, timeout=10)
        assert trap.sprung.is_set()
        (first,) = await reader.notes(1)
        for again in (gateway, other):
            answer = await again.stub.SendNote(NOTE, timeout=10)
            assert answer.duplicate
            assert answer.cursor.sequence == first.sequence
        await other.send("lobby", "and on")
        assert texts(await reader.notes(1)) == ["and on"]
    with valkey.client() as redis:
        assert redis.xlen(outbox_key(partition_of("lobby"))) == 2


async def test_a_connection_that_falls_silent_is_noticed_and_what_was_missed_arrives(
    valkey: ValkeyProcess,
) -> None:
    """Half-open connections are replaced; the gateway is not ready until then."""
    async with (
        Proxy(valkey.port) as proxy,
        running_gateway(proxy.redis_url) as gateway,
        running_gateway(valkey.url) as other,
        gateway.read("lobby") as reader,
    ):
        assert await reader.kinds(1) == ["caught_up"]
        proxy.half_open()
        begun = time.monotonic()
        await other.send("lobby", "missed")
        red = asyncio.create_task(wait_for_health(gateway.target, "NOT_SERVING"))
        assert texts(await reader.notes(1)) == ["missed"]
        assert time.monotonic() - begun < 5  # by design 1.5 s; machines may be slow
        await red
        await wait_until_serving(gateway.target)
        await other.send("lobby", "heard")
        assert texts(await reader.notes(1)) == ["heard"]


async def test_a_link_that_stalls_and_goes_on_loses_nothing(valkey: ValkeyProcess) -> None:
    async with (
        Proxy(valkey.port) as proxy,
        running_gateway(proxy.redis_url) as gateway,
        running_gateway(valkey.url) as other,
        gateway.read("lobby") as reader,
    ):
        sent: list[str] = []
        for round_ in range(3):
            proxy.stall()
            for number in range(20):
                sent.append(f"{round_}.{number}")
                await other.send("lobby", sent[-1])
            proxy.resume()
        assert texts(await reader.notes(len(sent))) == sent
