"""One client has its share of a server's connections, so that others can connect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import grpc
import pytest
from grpc import aio

import notecast_wire
from notecast_wire.calls.server_state import ServerState
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import RawClient
from tests.wire.calls.serving import Served, echo, serving, unary_unary

SHARES = (("notecast_wire.max_connections", 8),)
"""4 of a client."""
HOSTILE, OTHER = "127.0.0.2", "127.0.0.3"


def state(running: Served) -> ServerState:
    serving_state = running.server._state
    assert serving_state is not None
    return serving_state


@asynccontextmanager
async def connected(running: Served, source: str) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", running.port, local_addr=(source, 0)
    )
    client = RawClient(reader, writer)
    client.start({})
    try:
        yield client
    finally:
        await client.close()


async def is_answered(client: RawClient) -> bool:
    call = client.call("Echo", b"hello")
    return (await client.ended(call)).messages == [b"hello"]


async def test_connections_over_a_clients_share_are_refused_and_another_client_gets_in() -> None:
    async with serving({"Echo": unary_unary(echo)}, SHARES) as running, AsyncExitStack() as stack:
        hostile = [await stack.enter_async_context(connected(running, HOSTILE)) for _ in range(7)]
        served, refused = hostile[:4], hostile[4:]
        for client in refused:
            await eventually(partial(getattr, client, "closed"), "it is closed")
        async with connected(running, OTHER) as other:
            assert await is_answered(other)
        assert [await is_answered(client) for client in served] == [True] * 4


async def test_a_client_that_closes_a_connection_may_open_another() -> None:
    async with serving({"Echo": unary_unary(echo)}, SHARES) as running, AsyncExitStack() as stack:
        shares = state(running).connection_shares
        for _ in range(3):
            await stack.enter_async_context(connected(running, HOSTILE))
        for _ in range(5):
            async with connected(running, HOSTILE) as client:
                assert await is_answered(client)
            await eventually(lambda: shares.held == 3, "its place is free")
    assert (shares.held, shares.clients) == (0, 0)


async def test_a_trusted_proxy_has_as_many_connections_as_it_opens() -> None:
    proxies = notecast_wire.TrustedProxies.parse(HOSTILE)
    methods = {"Echo": unary_unary(echo)}
    async with (
        serving(methods, SHARES, trusted_proxies=proxies) as running,
        AsyncExitStack() as stack,
    ):
        proxied = [await stack.enter_async_context(connected(running, HOSTILE)) for _ in range(12)]
        assert [await is_answered(client) for client in proxied] == [True] * 12
        async with connected(running, OTHER) as other:
            assert await is_answered(other)


async def test_a_grpc_client_that_is_refused_is_told_at_once_and_waits_before_it_tries_again() -> (
    None
):
    async with serving({"Echo": unary_unary(echo)}, SHARES) as running, AsyncExitStack() as stack:
        for _ in range(4):
            client = await stack.enter_async_context(connected(running, "127.0.0.1"))
            assert await is_answered(client)
        with pytest.raises(aio.AioRpcError) as refused:
            await running.unary("Echo", b"hello", seconds=10)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_refused_connections_keep_no_files_open() -> None:
    async with serving({"Echo": unary_unary(echo)}, SHARES) as running, AsyncExitStack() as stack:
        for _ in range(60):
            await stack.enter_async_context(connected(running, HOSTILE))
        connections = running.server._connections
        await eventually(lambda: len(connections) == 4, "the others are cut off")
        async with connected(running, OTHER) as other:
            assert await is_answered(other)
