"""What a gateway is told of proxies and shares, and of whom a call of grpc.aio comes."""

import asyncio

import pytest
from grpc import aio

from chat_gateway.settings import GatewaySettings
from chat_gateway.transport.outlet import Context
from notecast_runtime.settings import load_settings
from notecast_runtime.transports import GrpcioServerTransport, ServerBounds
from notecast_wire import ClientId, ShareRatios, TrustedProxies
from tests.wire.calls.serving import SERVICE, ask, unary_unary


def test_by_default_nobody_is_trusted_and_one_client_leaves_half_to_others() -> None:
    settings = GatewaySettings()
    assert settings.proxies() == TrustedProxies()
    assert settings.share_ratios() == ShareRatios(0.5, 0.25)


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("NOTECAST_TRUSTED_PROXIES", "envoy", "networks (10.0.0.0/8)"),
        ("NOTECAST_TRUSTED_PROXIES", "10.0.0.1/8", "networks (10.0.0.0/8)"),
        ("NOTECAST_TRUSTED_HOPS", "0", "at least 1, at most 16"),
        ("NOTECAST_CLIENT_SHARE", "0", "more than 0, at most 1"),
        ("NOTECAST_CONNECTION_SHARE", "1.5", "more than 0, at most 1"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    variable: str,
    value: str,
    allowed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit):
        load_settings(GatewaySettings)
    said = capsys.readouterr().err
    assert f"{variable}={value!r}" in said
    assert allowed in said


@pytest.mark.parametrize(
    ("trusted", "address"), [("127.0.0.1", "192.0.2.7"), ("10.0.0.0/8", "127.0.0.1")]
)
async def test_on_grpcios_server_a_call_has_the_same_client(trusted: str, address: str) -> None:
    whose = GrpcioServerTransport(ServerBounds(TrustedProxies.parse(trusted))).client_of
    seen: list[ClientId] = []

    async def who(_: bytes, context: Context) -> bytes:
        seen.append(whose(context))
        return b""

    server = aio.server()
    server.add_registered_method_handlers(SERVICE, {"Who": unary_unary(who)})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    metadata = (
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-for", "10.0.0.2, 192.0.2.7"),
        ("x-notecast-connection", "8"),
    )
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await ask(channel, "Who", metadata=metadata)
    await asyncio.wait_for(server.stop(None), 20)
    assert [client.address for client in seen] == [address]
