"""Compression and the bounds of messages."""

import gzip
from collections.abc import AsyncIterator

import pytest
from grpc import Compression, StatusCode

from tests.wire.calls.raw_client import connected, grpc_headers, message, raw_client
from tests.wire.calls.serving import (
    Context,
    count,
    echo,
    serving,
    status_of,
    stream_stream,
    stream_unary,
    unary_stream,
    unary_unary,
)

TEXT = b"compressible " * 1_000


async def measure(request: bytes, _: Context) -> bytes:
    return b"%d" % len(request)


async def test_a_compressed_request_is_unpacked() -> None:
    async with serving({"Echo": unary_unary(echo)}) as served:
        assert await served.unary("Echo", TEXT, compression=Compression.Gzip) == TEXT


async def test_a_handler_may_have_its_response_compressed() -> None:
    async def packed(request: bytes, context: Context) -> bytes:
        context.set_compression(Compression.Gzip)
        return request

    async with serving({"Packed": unary_unary(packed)}) as served:
        assert await served.unary("Packed", TEXT) == TEXT
        async with raw_client(served.port) as client:
            response = await client.ended(
                client.call("Packed", TEXT, ("grpc-accept-encoding", "identity,gzip"))
            )
        assert response.headers["grpc-encoding"] == "gzip"
        assert response.data[0] == 1
        assert gzip.decompress(response.messages[0]) == TEXT


async def test_a_client_that_takes_no_gzip_gets_none() -> None:
    async def packed(request: bytes, context: Context) -> bytes:
        context.set_compression(Compression.Gzip)
        return request

    methods = {"Packed": unary_unary(packed), "Echo": unary_unary(echo)}
    async with connected(methods, compression=Compression.Gzip) as (_, client):
        for name in methods:
            response = await client.ended(client.call(name, TEXT))
            assert response.messages == [TEXT]
            assert response.data[0] == 0
            assert "grpc-encoding" not in response.headers


async def test_a_server_may_compress_by_default_and_a_handler_say_no() -> None:
    async def write(_: bytes, context: Context) -> AsyncIterator[bytes]:
        yield TEXT
        context.disable_next_message_compression()
        yield TEXT
        yield TEXT
        yield b"short"

    async def plain(request: bytes, context: Context) -> bytes:
        context.set_compression(Compression.NoCompression)
        return request

    methods = {"Write": unary_stream(write), "Plain": unary_unary(plain)}
    async with connected(methods, compression=Compression.Gzip) as (_, client):
        accept = ("grpc-accept-encoding", "gzip")
        response = await client.ended(client.call("Write", b"", accept))
        sizes = [len(part) for part in response.messages]
        # Packed, plain by request, packed, and plain since packing would not make it smaller.
        assert sizes[0] == sizes[2] < 200
        assert (sizes[1], sizes[3]) == (len(TEXT), 5)
        response = await client.ended(client.call("Plain", TEXT, accept))
        assert response.messages == [TEXT]


async def test_deflate_is_refused_where_it_is_asked_for() -> None:
    async def deflated(request: bytes, context: Context) -> bytes:
        with pytest.raises(ValueError, match="Deflate"):
            context.set_compression(Compression.Deflate)
        return request

    async with serving({"Deflated": unary_unary(deflated)}) as served:
        assert await served.unary("Deflated", b"x") == b"x"


async def test_an_unknown_encoding_is_unimplemented_and_the_answer_says_what_is_taken() -> None:
    async with serving({"Echo": unary_unary(echo)}) as served:
        async with raw_client(served.port) as client:
            stream = client.call("Echo", b"x", ("grpc-encoding", "snappy"))
            response = await client.ended(stream)
        assert response.status == "12"
        assert response.headers["grpc-accept-encoding"] == "identity,gzip"
        code, _ = await status_of(served.unary("Echo", TEXT, compression=Compression.Deflate))
        assert code is StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("method", ["Echo", "Count"])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (message(gzip.compress(b"x"), flag=1), []),
        (message(b"no gzip", flag=1), [("grpc-encoding", "gzip")]),
        (message(gzip.compress(b"x")[:-1], flag=1), [("grpc-encoding", "gzip")]),
        (message(b"x", flag=2), []),
    ],
    ids=["no encoding", "no gzip", "cut off", "unknown flag"],
)
async def test_a_message_that_cannot_be_unpacked_is_internal(
    method: str, body: bytes, headers: list[tuple[str, str]]
) -> None:
    methods = {"Echo": unary_unary(echo), "Count": stream_unary(count)}
    async with connected(methods) as (_, client):
        response = await client.ended(client.begin(grpc_headers(method, *headers), body))
        assert response.status == "13"


@pytest.mark.parametrize("method", ["Measure", "Count"])
async def test_a_bomb_is_resource_exhausted(method: str) -> None:
    methods = {"Measure": unary_unary(measure), "Count": stream_unary(count)}
    bomb = gzip.compress(bytes(5_000_000))
    async with connected(methods) as (_, client):
        headers = grpc_headers(method, ("grpc-encoding", "gzip"))
        response = await client.ended(client.begin(headers, message(bomb, flag=1)))
        assert response.status == "8"


async def test_a_message_of_the_bound_is_taken_and_a_larger_one_is_not() -> None:
    async with serving({"Measure": unary_unary(measure)}) as served:
        most = 4 * 1024 * 1024
        assert await served.unary("Measure", bytes(most)) == b"%d" % most
        code, details = await status_of(served.unary("Measure", bytes(most + 1)))
        assert code is StatusCode.RESOURCE_EXHAUSTED
        assert details == f"Received message larger than max ({most + 1} vs. {most})"


async def test_a_small_bound_holds_for_what_comes_in_one_piece_too() -> None:
    options = (("grpc.max_receive_message_length", 10),)
    async with serving({"Measure": unary_unary(measure)}, options) as served:
        assert await served.unary("Measure", bytes(10)) == b"10"
        code, _ = await status_of(served.unary("Measure", bytes(11)))
        assert code is StatusCode.RESOURCE_EXHAUSTED


async def test_without_a_bound_any_message_is_taken() -> None:
    options = (("grpc.max_receive_message_length", -1),)
    async with serving({"Measure": unary_unary(measure)}, options) as served:
        assert await served.unary("Measure", bytes(5_000_000)) == b"5000000"


async def test_of_a_message_that_is_too_large_nothing_is_held() -> None:
    async with connected({"Measure": unary_unary(measure)}) as (served, client):
        start = b"\0" + (5_000_000).to_bytes(4) + bytes(10_000)
        stream = client.begin(grpc_headers("Measure"), start, end=False)
        response = await client.ended(stream)
        # The status comes before the message, and the client may stop (RFC 9113, 8.1).
        assert response.status == "8"
        assert response.reset in {None, 0}
        await client.settled()
        assert (served.calls, served.held) == (0, 0)


async def test_one_connection_makes_us_hold_only_so_much_of_its_requests() -> None:
    options = (("notecast_wire.max_held_request_bytes", 400_000),)
    async with connected({"Measure": unary_unary(measure)}, options) as (served, client):
        await client.settled()  # the connection's window is known
        start = b"\0" + (1_000_000).to_bytes(4) + bytes(16_000)
        streams = [client.begin(grpc_headers("Measure"), start, end=False) for _ in range(10)]
        await client.until(
            lambda: sum(client.responses[stream].status == "8" for stream in streams) == 4,
            "four are refused",
        )
        assert served.held == 6 * 16_005
        # Other connections have a share of their own.
        assert await served.unary("Measure", bytes(90_000)) == b"90000"
        for stream in streams:
            if client.responses[stream].status is None:
                client.h2.reset_stream(stream)
        client.flush()
        await client.settled()
        assert served.held == 0


async def test_a_response_over_the_bound_is_resource_exhausted() -> None:
    async def large(_: bytes, __: Context) -> AsyncIterator[bytes]:
        yield bytes(10)
        yield bytes(11)

    methods = {"Echo": unary_unary(echo), "Large": unary_stream(large)}
    async with serving(methods, (("grpc.max_send_message_length", 10),)) as served:
        assert await served.unary("Echo", bytes(10)) == bytes(10)
        assert await status_of(served.unary("Echo", bytes(11))) == (
            StatusCode.RESOURCE_EXHAUSTED,
            "Sent message larger than max (11 vs. 10)",
        )
        call = served.stream("Large")
        assert await call.read() == bytes(10)
        code, _ = await status_of(call.read())
        assert code is StatusCode.RESOURCE_EXHAUSTED


async def test_compressed_streams_go_both_ways_with_grpcio() -> None:
    async def answer(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        context.set_compression(Compression.Gzip)
        async for request in requests:
            yield request * 2

    async def ask() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield TEXT

    async with serving({"Answer": stream_stream(answer)}) as served:
        call = served.converse("Answer", ask(), compression=Compression.Gzip)
        assert [part async for part in call] == [TEXT * 2] * 3
