"""A service's server is one object with what says whom its calls come from."""

import asyncio
from typing import get_args

import pytest
from grpc import aio

import notecast_wire
from chat_gateway.settings import GatewaySettings
from notecast_runtime.health import Health
from notecast_runtime.server import create_server
from notecast_runtime.standard_streams import Context
from notecast_runtime.transports import (
    GrpcioServerTransport,
    ServerTransport,
    TransportName,
    WireServerTransport,
)
from notecast_wire import ClientId
from tests.wire.calls.serving import SERVICE, ask, unary_unary


async def test_by_default_every_service_runs_on_wire() -> None:
    assert isinstance(create_server(Health([], []), []), notecast_wire.Server)
    assert GatewaySettings().transport == "wire"
    assert get_args(TransportName)[0] == "wire"


async def clients_seen(served: ServerTransport, asked: ServerTransport) -> list[ClientId]:
    """The clients that one transport names of a call that another one serves."""
    seen: list[ClientId] = []

    async def who(_: bytes, context: Context) -> bytes:
        seen.append(asked.client_of(context))
        return b""

    served.server.add_registered_method_handlers(SERVICE, {"Who": unary_unary(who)})
    port = served.server.add_insecure_port("127.0.0.1:0")
    await served.server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await ask(channel, "Who")
    finally:
        await asyncio.wait_for(served.server.stop(None), 20)
    return seen


async def test_each_transport_knows_the_client_of_its_own_calls() -> None:
    for transport in (WireServerTransport(), GrpcioServerTransport()):
        (client,) = await clients_seen(transport, transport)
        assert client.address == "127.0.0.1"


async def test_a_call_of_another_server_is_a_fault_that_is_told() -> None:
    with pytest.raises(aio.AioRpcError) as error:
        await clients_seen(GrpcioServerTransport(), WireServerTransport())
    assert error.value.code().name == "INTERNAL"
