"""What a web page gets from Envoy, told in plain HTTP as a browser would speak it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from notecast.v1.chat_pb2 import SendNoteRequest, SendNoteResponse
from tests.support.services import running_gateway
from tests.support.shipped_envoy import Answer, ShippedEnvoy, ask, shipped_envoy
from tests.support.valkey import ValkeyProcess

OURS = "http://localhost:5173"
FOREIGN = "https://elsewhere.example"
CALLS = "cluster.chat-gateway.upstream_rq_total"
"""Those that gateways got, as Envoy counts them."""
SEND = "/notecast.v1.ChatService/SendNote"


@pytest.fixture
async def envoy(valkey: ValkeyProcess, tmp_path: Path) -> AsyncIterator[ShippedEnvoy]:
    """Envoy before one gateway."""
    async with (
        running_gateway(valkey.url) as gateway,
        shipped_envoy([gateway.target], tmp_path) as running,
    ):
        yield running


async def preflight(envoy: ShippedEnvoy, origin: str) -> Answer:
    wanted = "authorization,content-type,x-grpc-web,x-user-agent,grpc-timeout"
    asked = {"access-control-request-method": "POST", "access-control-request-headers": wanted}
    return await ask(envoy.port, "OPTIONS", SEND, {"origin": origin, **asked})


async def send(envoy: ShippedEnvoy, text: str, origin: str = OURS, **headers: str) -> Answer:
    message = SendNoteRequest(room="lobby", author="ann", text=text).SerializeToString()
    asked = {"origin": origin, "content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    body = b"\0" + len(message).to_bytes(4, "big") + message
    return await ask(envoy.port, "POST", SEND, asked | headers, body)


def frames(body: bytes) -> dict[int, bytes]:
    """By their first byte: 0 for a message, 128 for trailers."""
    found = {}
    while body:
        end = 5 + int.from_bytes(body[1:5], "big")
        found[body[0]], body = body[5:end], body[end:]
    return found


async def test_a_page_may_send_what_grpc_web_and_a_token_need(
    envoy: ShippedEnvoy,
) -> None:
    """The preflight allows `authorization`."""
    answer = await preflight(envoy, OURS)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == OURS
    assert "POST" in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"authorization", "content-type", "x-grpc-web", "x-user-agent"} < set(allowed)
    assert "grpc-timeout" in allowed


async def test_a_page_calls_by_grpc_web_and_reads_the_answer(envoy: ShippedEnvoy) -> None:
    answer = await send(envoy, "hello")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == OURS
    parts = frames(answer.body)
    assert SendNoteResponse.FromString(parts[0]).cursor.sequence == 1
    assert b"grpc-status:0" in parts[128]


async def test_a_page_may_read_why_a_call_failed(envoy: ShippedEnvoy) -> None:
    """`grpc-status-details-bin` is not only sent but exposed to the page."""
    answer = await send(envoy, "")
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert {"grpc-status", "grpc-message", "grpc-status-details-bin"} <= set(exposed)
    assert answer.headers["grpc-status"] == "3"
    assert "grpc-status-details-bin" in answer.headers


async def test_a_page_from_elsewhere_is_allowed_nothing(envoy: ShippedEnvoy) -> None:
    before = await envoy.stat(CALLS)
    for origin in (FOREIGN, f"{OURS}.elsewhere.example", "http://127.0.0.1.elsewhere.example"):
        answer = await preflight(envoy, origin)
        assert "access-control-allow-origin" not in answer.headers
    # Answered by Envoy: no gateway has to know what a preflight is.
    assert await envoy.stat(CALLS) == before


async def test_what_a_page_could_send_without_a_preflight_is_not_taken_for_a_call(
    envoy: ShippedEnvoy,
) -> None:
    answer = await send(envoy, "hello", FOREIGN, **{"content-type": "text/plain"})
    assert answer.status == 415


async def test_a_path_with_hidden_slashes_reaches_no_gateway(envoy: ShippedEnvoy) -> None:
    before = await envoy.stat(CALLS)
    answer = await ask(envoy.port, "POST", "/notecast.v1.ChatService%2FSendNote")
    assert answer.status == 400
    assert await envoy.stat(CALLS) == before


async def test_metadata_with_underscores_fail_no_call(envoy: ShippedEnvoy) -> None:
    answer = await send(envoy, "hello", my_header="value")
    assert b"grpc-status:0" in frames(answer.body)[128]
