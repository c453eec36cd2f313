"""Which gateways Envoy gives calls to, and what it makes twice: nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc import aio

from notecast.v1.chat_pb2 import SendNoteRequest
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from tests.chaos.proxy import Proxy, ReplyTrap
from tests.support.gateway_process import started_gateway
from tests.support.services import Gateway, from_start, running_gateway, running_history, texts
from tests.support.shipped_envoy import ShippedEnvoy, shipped_envoy
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

EJECTED = "cluster.chat-gateway.outlier_detection.ejections_enforced_total"
THE_FIRST_NOTE = b"\x10\x01\x12\x20"
"""In the answer to a send: sequence 1, and an id of 32 characters."""
RETRIED = "cluster.chat-gateway.upstream_rq_retry"


@asynccontextmanager
async def through(envoy: ShippedEnvoy) -> AsyncIterator[Gateway]:
    """A client's hands, on a connection of its own."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with aio.insecure_channel(envoy.target, options=options) as channel:
        yield Gateway(envoy.target, channel)


@asynccontextmanager
async def doors_to(gateway: Gateway) -> AsyncIterator[list[Proxy]]:
    """Two ways to one gateway, on which its answers can be lost."""
    doors = [Proxy(int(gateway.target.rpartition(":")[2])) for _ in range(2)]
    try:
        for door in doors:
            await door.start()
        yield doors
    finally:
        for door in doors:
            door.stop()


async def knows(envoy: ShippedEnvoy, target: str, health: str) -> None:
    async def so() -> bool:
        return await envoy.health_of(target) == health

    await eventually(so, f"Envoy finds {target} {health}", 20)


async def test_a_killed_gateway_gets_no_calls_and_gets_them_again_when_it_is_back(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with (
        running_gateway(valkey.url) as steady,
        started_gateway(valkey.url) as (process, killed),
        shipped_envoy([steady.target, killed.target], tmp_path) as envoy,
        through(envoy) as client,
    ):
        process.kill()
        await process.wait()
        # No connection is to be had, so each is made elsewhere, at once.
        for number in range(20):
            await client.send("room", f"note {number}")
        await eventually(lambda: _is_ill(envoy, killed.target), "it is known to be gone")
        port = int(killed.target.rpartition(":")[2])
        async with running_gateway(valkey.url, listen_port=port):
            await knows(envoy, killed.target, "healthy")
            await eventually(lambda: _both_are_given_streams(envoy, client), "it has its share")


async def _all_taken(client: Gateway) -> bool:
    """Whether no send of some goes to a gateway whose Redis is away."""
    try:
        for number in range(10):
            await client.send("room", f"note {number}")
    except aio.AioRpcError:
        return False
    return True


async def _is_ill(envoy: ShippedEnvoy, target: str) -> bool:
    return await envoy.health_of(target) != "healthy"


async def _both_are_given_streams(envoy: ShippedEnvoy, client: Gateway) -> bool:
    async with client.read("room"), client.read("room"):
        return [g.open_calls for g in (await envoy.gateways()).values()] == [1, 1]


async def test_a_gateway_that_is_not_ready_keeps_its_streams_and_gets_no_new_calls(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    """Envoy ejects a gateway neither for being not ready nor for its answers."""
    with ValkeyProcess(tmp_path / "other") as other:
        async with (
            running_gateway(other.url) as ill,
            running_gateway(valkey.url) as well,
            shipped_envoy([ill.target, well.target], tmp_path) as envoy,
            through(envoy) as client,
            client.read("room"),
            client.read("room"),
        ):
            both = await envoy.gateways()
            assert [gateway.open_calls for gateway in both.values()] == [1, 1]
            other.stop()
            await knows(envoy, ill.target, "failed_active_health_check")
            await eventually(lambda: _all_taken(client), "Envoy's workers know it, too")
            async with client.read("room"), client.read("room"):
                assert await _all_taken(client)
                seen = await envoy.gateways()
            assert seen[ill.target].open_calls == 1
            assert seen[well.target].open_calls == 3
            other.start()
            await knows(envoy, ill.target, "healthy")
            assert await envoy.stat(EJECTED) == 0


async def test_a_stream_through_a_gateway_that_is_not_ready_goes_on_when_it_is_again(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with (
        running_gateway(valkey.url) as gateway,
        shipped_envoy([gateway.target], tmp_path) as envoy,
        through(envoy) as client,
        client.read("room") as reader,
    ):
        await client.send("room", "before")
        valkey.stop()
        await knows(envoy, gateway.target, "failed_active_health_check")
        # With no other gateway it is asked all the same: its answer says what is wrong.
        with pytest.raises(aio.AioRpcError) as refused:
            await client.send("room", "meanwhile")
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "grpc-status-details-bin" in dict(refused.value.trailing_metadata())
        valkey.start()
        await knows(envoy, gateway.target, "healthy")
        await client.send("room", "after")
        assert texts(await reader.notes(2)) == ["before", "after"]


async def test_a_send_that_has_reached_a_gateway_is_never_made_again(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    """A note without an id would be stored twice."""
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        doors_to(gateway) as doors,
        shipped_envoy([f"127.0.0.1:{door.port}" for door in doors], tmp_path) as envoy,
        through(envoy) as client,
    ):
        for door in doors:
            door.trap = ReplyTrap(b"only once", THE_FIRST_NOTE)
        request = SendNoteRequest(room="room", author="ann", text="only once")
        with pytest.raises(aio.AioRpcError) as lost:
            await client.stub.SendNote(request, timeout=10)
        assert lost.value.code() == grpc.StatusCode.UNAVAILABLE
        assert [door.trap is None for door in doors].count(True) == 1
        assert await envoy.stat(RETRIED) == 0
        async with gateway.read(from_start("room")) as reader:
            assert await reader.kinds(2) == ["only once", "caught_up"]


async def test_an_answer_is_never_a_reason_to_make_a_call_again(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with (
        running_gateway(valkey.url) as first,
        running_gateway(valkey.url) as second,
        shipped_envoy([first.target, second.target], tmp_path) as envoy,
        aio.insecure_channel(envoy.target) as channel,
    ):
        valkey.stop()
        # Whatever a client wants of Envoy, it is not asked.
        wish = (("x-envoy-retry-on", "5xx,gateway-error"), ("x-envoy-retry-grpc-on", "unavailable"))
        for _ in range(5):
            with pytest.raises(aio.AioRpcError) as refused:
                await ChatServiceStub(channel).SendNote(
                    SendNoteRequest(room="room", author="ann", text="hello"),
                    timeout=10,
                    metadata=wish,
                )
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert await envoy.stat(RETRIED) == 0
        assert await envoy.stat(EJECTED) == 0


async def test_streams_are_dealt_out_evenly(valkey: ValkeyProcess, tmp_path: Path) -> None:
    async with (
        running_gateway(valkey.url) as first,
        running_gateway(valkey.url) as second,
        shipped_envoy([first.target, second.target], tmp_path) as envoy,
        through(envoy) as client,
        client.read("room"),
        client.read("room"),
    ):  # it has connections to both now
        readers = [client.read("room") for _ in range(18)]
        await asyncio.gather(*(reader.__aenter__() for reader in readers))
        assert [g.open_calls for g in (await envoy.gateways()).values()] == [10, 10]
        for reader in readers:
            reader.call.cancel()
