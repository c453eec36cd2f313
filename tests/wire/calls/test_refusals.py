"""A request that is refused by its headers is told why, in words that its kind of client reads."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import unquote

import pytest
from grpc import StatusCode, aio

import notecast_wire
from notecast_client.errors import ServerUnavailableError, error_of
from notecast_wire import ShareRatios, TrustedProxies
from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.limits import ConnectionLimits
from tests.wire.calls.raw_client import RawClient, Response, connected, grpc_headers, raw_client
from tests.wire.calls.serving import SERVICE, echo, serving, status_of, unary_unary

METHODS = {"Echo": unary_unary(echo)}
RESOURCE_EXHAUSTED = str(StatusCode.RESOURCE_EXHAUSTED.value[0])
TOKEN = ("x-token", "t" * 17_000)


async def answer(client: RawClient, stream_id: int) -> Response:
    response = client.responses[stream_id]
    await client.until(lambda: response.ended, "the refusal")
    return response


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto"])
async def test_metadata_over_the_bound_is_told_a_call_with_its_size_and_largest_field(
    content_type: str,
) -> None:
    async with connected(METHODS) as (_, client):
        headers = [*grpc_headers("Echo", TOKEN, ("x-more", "m" * 100))]
        headers = [(name, value) for name, value in headers if name != "content-type"]
        stream_id = client.begin([*headers, ("content-type", content_type)], b"", end=False)
        status = (await answer(client, stream_id)).headers
        size = sum(32 + len(n) + len(v) for n, v in [*headers, ("content-type", content_type)])
        assert status[":status"] == "200"
        assert status["grpc-status"] == RESOURCE_EXHAUSTED
        assert unquote(status["grpc-message"]) == (
            f"request metadata of {size} bytes exceeds 16384 (32 added for each field; the largest"
            " is x-token)"
        )


async def test_headers_over_the_bound_of_what_is_no_call_get_431() -> None:
    async with connected(METHODS) as (_, client):
        headers = [pair for pair in grpc_headers("Echo") if pair[0] != "content-type"]
        stream_id = client.begin([*headers, TOKEN, ("content-type", "text/plain")], None)
        assert (await answer(client, stream_id)).headers == {":status": "431"}


async def test_the_connection_goes_on_after_metadata_over_the_bound() -> None:
    async with connected(METHODS) as (_, client):
        await answer(client, client.call("Echo", b"", TOKEN))
        response = client.responses[client.call("Echo", b"again")]
        await client.until(lambda: response.ended, "the answer")
        assert response.messages == [b"again"]


async def test_grpcios_client_reads_why() -> None:
    async with serving(METHODS, (("grpc.max_metadata_size", 16_384),)) as served:
        code, details = await status_of(served.unary("Echo", b"", metadata=(TOKEN,)))
        assert code is StatusCode.RESOURCE_EXHAUSTED
        assert "exceeds 16384" in details or "peer's" in details


@asynccontextmanager
async def serving_proxies(limits: ConnectionLimits) -> AsyncIterator[int]:
    """A server for which this machine is a proxy; gives its port."""
    server = notecast_wire.server(
        options=(("grpc.http2.max_ping_strikes", 0),),
        trusted_proxies=TrustedProxies.parse("127.0.0.1"),
    )
    server.add_registered_method_handlers(SERVICE, METHODS)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    assert server._state is not None
    server._state.client_budgets = ClientBudgets(limits, ShareRatios(), time.monotonic)
    try:
        yield port
    finally:
        await server.stop(None)


async def test_a_client_behind_a_proxy_that_has_done_too_much_wrong_is_told_so() -> None:
    hostile, other = (
        (("x-forwarded-for", address), ("x-notecast-connection", "1"))
        for address in ("192.0.2.66", "198.51.100.1")
    )
    limits = ConnectionLimits(reset_burst=10, resets_per_second=0.01)
    async with serving_proxies(limits) as port, raw_client(port) as client:
        await answer(client, client.call("Echo", b"", TOKEN, *hostile))
        refused = await answer(client, client.call("Echo", b"", *hostile))
        assert refused.headers["grpc-status"] == RESOURCE_EXHAUSTED
        assert unquote(refused.headers["grpc-message"]) == (
            "too many resets, faulty requests and large header blocks from this connection: at most"
            " 10 at once and 0.01 a second"
        )
        served = client.responses[client.call("Echo", b"served", *other)]
        await client.until(lambda: served.ended, "the other client's answer")
        assert served.messages == [b"served"]
        assert not client.goaways


async def test_a_client_library_reads_when_to_come_again_after_what_passes() -> None:
    hostile = (("x-forwarded-for", "192.0.2.66"), ("x-notecast-connection", "1"))
    limits = ConnectionLimits(reset_burst=10, resets_per_second=0.01)
    async with serving_proxies(limits) as port, raw_client(port) as client:
        too_large = await answer(client, client.call("Echo", b"", TOKEN, *hostile))
        assert "grpc-retry-pushback-ms" not in too_large.headers
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                f"/{SERVICE}/Echo"
            )
            with pytest.raises(aio.AioRpcError) as error:
                await call(b"", metadata=hostile, timeout=10)
        assert error.value.code() is StatusCode.RESOURCE_EXHAUSTED
        full = error_of(error.value, 10)
        assert isinstance(full, ServerUnavailableError)
        assert full.retry_after_seconds == 1.0
