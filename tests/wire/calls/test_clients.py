"""Handlers learn whom a call comes from, and no client behind a proxy can pass for another."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpc import aio

import notecast_wire
from notecast_wire import ClientId, TrustedProxies
from notecast_wire.fairness.clients import NO_PROXIES
from tests.wire.calls.raw_client import RawClient, raw_client
from tests.wire.calls.serving import SERVICE, Context, ask, first, unary_stream, unary_unary

LOOPBACK = TrustedProxies.parse("127.0.0.0/8, unix")
FORWARDED = ("x-forwarded-for", "192.0.2.7")


class Clients:
    """A server whose handlers note whom their calls come from."""

    def __init__(self) -> None:
        self.seen: list[ClientId] = []
        self.peers: list[str] = []
        self.came = asyncio.Event()

    async def who(self, _: bytes, context: Context) -> bytes:
        self.peers.append(context.peer())
        self.seen.append(context.client())
        self.came.set()
        return b""

    async def stay(self, _: bytes, context: Context) -> None:
        outlet = context.detach()
        assert outlet.stream.client == context.client()
        await self.who(b"", context)

    @asynccontextmanager
    async def serving(self, proxies: TrustedProxies, path: Path) -> AsyncIterator[int]:
        server = notecast_wire.server(
            options=(("grpc.http2.max_ping_strikes", 0),), trusted_proxies=proxies
        )
        methods = {"Who": unary_unary(self.who), "Stay": unary_stream(self.stay)}
        server.add_registered_method_handlers(SERVICE, methods)
        port = server.add_insecure_port("127.0.0.1:0")
        server.add_insecure_port(f"unix:{path}")
        await server.start()
        try:
            yield port
        finally:
            await server.stop(None)

    async def asked(
        self, client: RawClient, *headers: tuple[str, str], name: str = "Who"
    ) -> ClientId:
        self.came.clear()
        client.call(name, b"", *headers)
        await first(self.came)
        return self.seen[-1]


@pytest.mark.parametrize("name", ["Who", "Stay"])
async def test_a_call_on_a_connection_of_its_own_comes_from_there(
    name: str, tmp_path: Path
) -> None:
    clients = Clients()
    async with clients.serving(NO_PROXIES, tmp_path / "s") as port, raw_client(port) as client:
        who = await clients.asked(client, FORWARDED, ("x-notecast-connection", "8"), name=name)
        assert who.address == "127.0.0.1"
        assert clients.peers[-1] == f"ipv4:127.0.0.1:{who.connection}"
        async with raw_client(port) as other:
            assert (await clients.asked(other, name=name)).address == who.address
            assert clients.seen[-1].connection != who.connection


@pytest.mark.parametrize("name", ["Who", "Stay"])
async def test_a_call_behind_a_trusted_proxy_comes_from_whom_the_proxy_names(
    name: str, tmp_path: Path
) -> None:
    clients = Clients()
    async with clients.serving(LOOPBACK, tmp_path / "s") as port, raw_client(port) as proxy:
        said = (FORWARDED, ("x-notecast-connection", "8"))
        assert await clients.asked(proxy, *said, name=name) == ("192.0.2.7", "127.0.0.1/8")
        assert (await clients.asked(proxy, name=name)).address == "127.0.0.1"


async def test_a_client_behind_a_proxy_cannot_pass_for_another(tmp_path: Path) -> None:
    clients = Clients()
    own_lines = [("x-forwarded-for", "10.0.0.1"), ("x-forwarded-for", "10.0.0.2, 10.0.0.3")]
    appended = ("x-forwarded-for", "10.0.0.1, 10.0.0.2,192.0.2.7")
    # The proxy overwrites the client's own word on the connection, and writes the last entry.
    connection = ("x-notecast-connection", "8")
    async with clients.serving(LOOPBACK, tmp_path / "s") as port, raw_client(port) as proxy:
        for headers in (
            [*own_lines, FORWARDED, connection],
            [connection, appended],
            [*own_lines, connection, appended],
        ):
            assert await clients.asked(proxy, *headers) == ("192.0.2.7", "127.0.0.1/8")


async def test_connections_on_a_unix_socket_are_one_client_and_told_apart(tmp_path: Path) -> None:
    clients = Clients()
    path = tmp_path / "s"
    async with clients.serving(NO_PROXIES, path):
        for _ in range(2):
            async with aio.insecure_channel(f"unix:{path}", [_OWN_CONNECTION]) as channel:
                await ask(channel, "Who")
    assert {client.address for client in clients.seen} == {"unix"}
    assert len(set(clients.seen)) == 2


async def test_a_proxy_may_be_at_the_other_end_of_a_unix_socket(tmp_path: Path) -> None:
    clients = Clients()
    path = tmp_path / "s"
    metadata = (FORWARDED, ("x-notecast-connection", "8"))
    async with (
        clients.serving(LOOPBACK, path),
        aio.insecure_channel(f"unix:{path}", [_OWN_CONNECTION]) as channel,
    ):
        await ask(channel, "Who", metadata=metadata)
    assert clients.seen == [("192.0.2.7", "unix/8")]


_OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
