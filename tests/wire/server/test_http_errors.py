"""What is no gRPC call gets a proper HTTP answer (gRPC PROTOCOL-HTTP2, RFC 9110)."""

import pytest

from tests.wire.calls.raw_client import connected, grpc_headers, message
from tests.wire.calls.serving import echo, unary_unary


def headers(method: str, content_type: str | None = None) -> list[tuple[str, str]]:
    more = [] if content_type is None else [("content-type", content_type)]
    return [
        (":method", method),
        (":scheme", "http"),
        (":path", "/tests.Bytes/Echo"),
        (":authority", "localhost"),
        *more,
    ]


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "FETCH"])
async def test_another_method_than_post_is_not_allowed(method: str) -> None:
    async with connected({"Echo": unary_unary(echo)}) as (_, client):
        response = await client.ended(client.begin(headers(method, "application/grpc"), None))
        assert response.headers[":status"] == "405"
        assert response.headers["allow"] == "POST"
        assert response.headers["content-type"].startswith("text/plain")
        assert int(response.headers["content-length"]) == len(response.data) > 0


async def test_head_gets_the_same_headers_and_no_body() -> None:
    async with connected({}) as (_, client):
        response = await client.ended(client.begin(headers("HEAD"), None))
        assert response.headers[":status"] == "405"
        assert int(response.headers["content-length"]) > 0
        assert response.data == b""


async def test_connect_is_not_allowed() -> None:
    async with connected({}) as (_, client):
        connect = [(":method", "CONNECT"), (":authority", "localhost:1")]
        response = await client.ended(client.begin(connect, None))
        assert response.headers[":status"] == "405"


@pytest.mark.parametrize(
    "content_type",
    [None, "text/html", "application/grpc-web", "application/grpc-web+proto", "application/grp"],
)
async def test_another_content_type_than_grpc_is_unsupported(content_type: str | None) -> None:
    async with connected({"Echo": unary_unary(echo)}) as (_, client):
        response = await client.ended(client.begin(headers("POST", content_type), b"{}"))
        assert response.headers[":status"] == "415"
        assert int(response.headers["content-length"]) == len(response.data) > 0
        assert response.status is None


@pytest.mark.parametrize(
    "content_type",
    [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc;charset=x",
        "APPLICATION/grpc",
    ],
)
async def test_grpc_with_any_subtype_is_a_call(content_type: str) -> None:
    async with connected({"Echo": unary_unary(echo)}) as (_, client):
        stream = client.begin(headers("POST", content_type), message(b"x"))
        assert (await client.ended(stream)).messages == [b"x"]


async def test_an_answer_to_a_request_that_is_still_coming_lets_it_stop() -> None:
    async with connected({}) as (_, client):
        for begun in (headers("GET"), headers("POST", "text/html"), grpc_headers("None")):
            stream = client.begin(begun, b"much to say", end=False)
            response = await client.ended(stream)
            await client.until(lambda response=response: response.reset == 0, "NO_ERROR")  # type: ignore[misc]


async def test_an_answer_waits_for_what_may_be_wrong_with_the_rest_of_its_request() -> None:
    async with connected({}) as (_, client):
        begun = [*headers("POST", "text/html"), ("content-length", "3")]
        stream = client.begin(begun, None, end=False)
        await client.ended(client.call("None"))  # so the server has seen both
        client.h2.send_data(stream, b"too long", end_stream=True)
        client.flush()
        response = await client.ended(stream)
        assert response.headers == {}
        assert response.reset == 1
