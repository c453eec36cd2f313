"""What Envoy tells gateways of clients, and which names it answers to."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc import aio

from notecast_local.edge import Edge
from notecast_local.ports import proxy_address
from notecast_runtime.health import Health
from notecast_runtime.server import create_server
from tests.support.shipped_envoy import ShippedEnvoy, ask, shipped_envoy

METHOD = "/echo.Echo/Headers"
WEB = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
NOTHING = bytes(5)
"""An empty message, as gRPC puts it into a body."""


@asynccontextmanager
async def envoy(folder: Path, edge: Edge = Edge()) -> AsyncIterator[ShippedEnvoy]:  # noqa: B008
    """Envoy before a server that gives back the metadata that it gets, and its peer."""

    async def echo(_: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
        found = [["peer", context.peer()], *map(list, context.invocation_metadata() or ())]
        return json.dumps(found).encode()

    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    health = Health([], [])
    server = create_server(health, [])
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("echo.Echo", {"Headers": method}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with shipped_envoy([f"127.0.0.1:{port}"], folder, edge=edge) as running:
            yield running
    finally:
        await server.stop(None)


@asynccontextmanager
async def channel_to(running: ShippedEnvoy, authority: str = "") -> AsyncIterator[aio.Channel]:
    options: list[tuple[str, int | str]] = [("grpc.use_local_subchannel_pool", 1)]
    if authority:
        options.append(("grpc.default_authority", authority))
    async with aio.insecure_channel(running.target, options=options) as channel:
        yield channel


async def headers_seen(
    channel: aio.Channel, metadata: Sequence[tuple[str, str]] = ()
) -> Mapping[str, list[str]]:
    """What the gateway gets, all values of a name in order."""
    call: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
    answer = await call(b"", metadata=metadata, timeout=10)
    found: dict[str, list[str]] = {}
    for name, value in json.loads(answer):
        found.setdefault(name, []).append(value)
    return found


async def test_a_gateway_gets_the_address_that_envoy_sees_after_whatever_the_client_says(
    tmp_path: Path,
) -> None:
    async with envoy(tmp_path) as running, channel_to(running) as channel:
        honest = await headers_seen(channel)
        liar = await headers_seen(channel, [("x-forwarded-for", "1.2.3.4")])
        (seen,) = honest["x-forwarded-for"]
        assert ",".join(liar["x-forwarded-for"]).replace(" ", "") == f"1.2.3.4,{seen}"
        assert "," not in seen


async def test_a_gateway_is_told_which_connection_a_call_came_on_and_never_by_the_client(
    tmp_path: Path,
) -> None:
    async with (
        envoy(tmp_path) as running,
        channel_to(running) as one,
        channel_to(running) as another,
    ):
        first = (await headers_seen(one))["x-notecast-connection"]
        lies = [("x-notecast-connection", "7"), ("x-notecast-connection", "8")]
        assert (await headers_seen(one, lies))["x-notecast-connection"] == first
        assert (await headers_seen(another))["x-notecast-connection"] != first
        assert len(first) == 1


async def test_behind_another_proxy_the_client_is_whom_that_names_and_no_connection_is_told(
    tmp_path: Path,
) -> None:
    async with (
        envoy(tmp_path, Edge(trusted_hops=2)) as running,
        channel_to(running) as channel,
    ):
        seen = await headers_seen(
            channel, [("x-forwarded-for", "1.2.3.4, 5.6.7.8"), ("x-notecast-connection", "7")]
        )
        entries = ",".join(seen["x-forwarded-for"]).replace(" ", "").split(",")
        # The second from the right is what the proxy before Envoy has written.
        assert entries[-2] == "5.6.7.8"
        assert len(entries) == 3
        assert "x-notecast-connection" not in seen


async def test_gateways_can_tell_envoy_from_a_local_client_by_its_address(tmp_path: Path) -> None:
    async with envoy(tmp_path) as running, channel_to(running) as channel:
        (peer,) = (await headers_seen(channel))["peer"]
        assert peer.split(":")[1] == proxy_address() != "127.0.0.1"


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "localhost:8080"])
async def test_this_machines_own_names_are_served(name: str, tmp_path: Path) -> None:
    async with envoy(tmp_path) as running, channel_to(running, name) as channel:
        assert await headers_seen(channel)


async def test_a_page_of_a_strangers_name_that_leads_here_is_refused_with_words(
    tmp_path: Path,
) -> None:
    """DNS rebinding: to the browser such a page is of the same origin, and asks nobody."""
    async with envoy(tmp_path, Edge(hosts=("chat.example.com", "*.example.org"))) as running:
        stranger = {**WEB, "host": f"evil.example.com:{running.port}"}
        refused = await ask(running.port, "POST", METHOD, stranger, NOTHING)
        assert b"x-forwarded-for" not in refused.body
        told = refused.headers.get("grpc-message", "") + refused.body.decode()
        assert "NOTECAST_ALLOWED_HOSTS" in told
        for name in ("chat.example.com", "a.example.org", f"localhost:{running.port}"):
            served = await ask(running.port, "POST", METHOD, {**WEB, "host": name}, NOTHING)
            assert served.status == 200
            assert b"x-forwarded-for" in served.body
        async with channel_to(running, "evil.example.com") as channel:
            with pytest.raises(aio.AioRpcError) as error:
                await headers_seen(channel)
        assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert "NOTECAST_ALLOWED_HOSTS" in (error.value.details() or "")


async def test_any_name_is_served_where_that_is_set(tmp_path: Path) -> None:
    async with (
        envoy(tmp_path, Edge(hosts=("*",))) as running,
        channel_to(running, "any.example.com") as channel,
    ):
        assert await headers_seen(channel)


async def test_a_call_too_many_on_a_connection_waits_and_is_not_refused(tmp_path: Path) -> None:
    async with envoy(tmp_path, Edge(streams_per_connection=2)) as running:
        async with channel_to(running) as channel:
            seen = await asyncio.gather(*(headers_seen(channel) for _ in range(10)))
        assert len({found["x-notecast-connection"][0] for found in seen}) == 1
