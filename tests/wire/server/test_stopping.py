"""How servers start and stop, and what becomes of the calls that are open."""

import asyncio
import socket
import sys
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode, aio

import notecast_wire
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import RawClient, connected, grpc_headers, message
from tests.wire.calls.serving import (
    SERVICE,
    Context,
    Served,
    ask,
    count,
    echo,
    first,
    serving,
    status_of,
    stream_unary,
    unary_stream,
    unary_unary,
)

LAST = 2**31 - 1


class Waiting:
    """A handler that goes on when it is told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, request: bytes, _: Context) -> bytes:
        self.begun.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return request


async def test_calls_in_flight_finish_within_the_grace() -> None:
    waiting = Waiting()
    async with serving({"Wait": unary_unary(waiting)}) as served:
        call = asyncio.ensure_future(served.unary("Wait", b"slow"))
        await first(waiting.begun)
        stopping = asyncio.ensure_future(served.server.stop(20))
        await eventually(lambda: not served.server._accepting[0].sockets, "nobody gets in")
        waiting.go_on.set()
        assert await call == b"slow"
        await asyncio.wait_for(stopping, 10)
        assert await served.server.wait_for_termination(1)


async def test_a_graceful_stop_says_goodbye_twice_and_names_the_last_stream() -> None:
    waiting = Waiting()
    async with connected({"Wait": unary_unary(waiting), "Echo": unary_unary(echo)}) as (
        served,
        client,
    ):
        stream = client.call("Wait", b"slow")
        await first(waiting.begun)
        stopping = asyncio.ensure_future(served.server.stop(20))
        await client.until(lambda: len(client.goaways) == 2, "two GOAWAYs")
        assert [goaway.last_stream_id for goaway in client.goaways] == [LAST, stream]
        assert [goaway.error_code for goaway in client.goaways] == [0, 0]
        # A client that has not heard it yet is told to try elsewhere.
        refused = client.call("Echo", b"too late")
        await client.until(lambda: client.responses[refused].reset == 7, "REFUSED_STREAM")
        waiting.go_on.set()
        assert (await client.ended(stream)).messages == [b"slow"]
        await asyncio.wait_for(stopping, 10)
        await client.until(lambda: client.closed, "the connection is closed")


async def test_a_request_that_crosses_the_first_goaway_is_served() -> None:
    async with connected({"Echo": unary_unary(echo)}) as (served, client):
        await client.settled()
        (link,) = served.connections
        link.leave()
        # The client can't have heard it yet: its answer to the PING comes after the request.
        stream = client.call("Echo", b"just in time")
        assert (await client.ended(stream)).messages == [b"just in time"]
        await client.until(lambda: client.closed, "the connection is closed")
        assert [goaway.last_stream_id for goaway in client.goaways] == [LAST, stream]


async def test_a_client_that_answers_no_ping_is_left_nevertheless() -> None:
    async with serving({"Echo": unary_unary(echo)}) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        await reader.read(1)
        stopping = asyncio.ensure_future(served.server.stop(20))
        said = await asyncio.wait_for(reader.read(), 10)
        assert said.count(b"\0\0\x08\7\0") == 2  # the heads of two GOAWAYs
        assert not stopping.done()
        writer.close()
        await asyncio.wait_for(stopping, 10)


async def test_a_client_that_still_reads_when_its_calls_are_done_gets_the_rest() -> None:
    """Its window updates, which nobody reads any more, must not reset the connection."""
    size = 4_000_000

    async def large(_: bytes, __: Context) -> bytes:
        return bytes(size)

    async with connected({"Large": unary_unary(large)}, initial_window=2**31 - 1) as (
        served,
        client,
    ):
        client.open_window(2**31 - 1 - 65_535)
        await client.settled()
        client.hold()
        stream = client.call("Large")
        await eventually(lambda: served.calls == 0 and not streams(served), "it is all sent")
        stopping = asyncio.ensure_future(served.server.stop(20))
        await eventually(
            lambda: all(each._closing for each in served.connections), "it is closed", 10
        )
        for _ in range(10):
            client.send_raw(b"\0\0\4\x08\0" + bytes(4) + (1).to_bytes(4))
        client.go_on()
        assert (await client.ended(stream)).messages == [bytes(size)]
        await client.close()
        await asyncio.wait_for(stopping, 10)


def streams(served: Served) -> int:
    """How many streams of all connections are open."""
    return sum(len(link.connection.streams) for link in served.connections)


async def test_after_the_grace_calls_end_with_unavailable_and_handlers_are_cancelled() -> None:
    waiting = Waiting()
    async with serving({"Wait": unary_unary(waiting)}) as served:
        call = asyncio.ensure_future(status_of(served.unary("Wait")))
        await first(waiting.begun)
        await asyncio.wait_for(served.server.stop(0.1), 10)
        assert (await call)[0] is StatusCode.UNAVAILABLE
        assert waiting.cancelled.is_set()
        assert (served.calls, served.tasks) == (0, 0)


@pytest.mark.parametrize("grace", [None, 0.0])
async def test_without_grace_all_ends_at_once(grace: float | None) -> None:
    waiting = Waiting()
    outlets: list[notecast_wire.StreamOutlet] = []

    async def subscribe(_: bytes, context: Context) -> None:
        outlets.append(context.detach())

    methods = {
        "Wait": unary_unary(waiting),
        "Subscribe": unary_stream(subscribe),
        "Count": stream_unary(count),
    }
    async with connected(methods, initial_window=10) as (served, client):
        streams = [
            client.call("Wait"),
            client.call("Subscribe"),
            client.begin(grpc_headers("Count"), message(b"x"), end=False),
        ]
        await first(waiting.begun)
        await eventually(lambda: outlets, "a stream is detached")
        outlets[0].write(bytes(100))
        await client.pinged()
        await asyncio.wait_for(served.server.stop(grace), 10)
        for stream in streams:
            assert (await client.ended(stream)).status == "14"
        assert client.goaways[-1].last_stream_id == streams[-1]
        assert outlets[0].done
        await eventually(lambda: served.calls == served.tasks == 0, "nothing is left")


async def test_a_shorter_grace_hurries_a_stop_that_is_under_way() -> None:
    waiting = Waiting()
    async with serving({"Wait": unary_unary(waiting)}) as served:
        call = asyncio.ensure_future(status_of(served.unary("Wait")))
        await first(waiting.begun)
        stopping = asyncio.ensure_future(served.server.stop(1_000))
        await asyncio.sleep(0)
        await asyncio.wait_for(served.server.stop(0.05), 10)
        await asyncio.wait_for(stopping, 10)
        assert (await call)[0] is StatusCode.UNAVAILABLE


async def test_a_handler_that_will_not_end_does_not_keep_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["notecast_wire.server.server"], "_LAST_SECONDS", 0.1)
    begun, let_go = asyncio.Event(), asyncio.Event()

    async def stubborn(_: bytes, __: Context) -> bytes:
        begun.set()
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return b""

    async with serving({"Stubborn": unary_unary(stubborn)}) as served:
        call = asyncio.ensure_future(status_of(served.unary("Stubborn")))
        await first(begun)
        await asyncio.wait_for(served.server.stop(None), 10)
        assert (await call)[0] is StatusCode.UNAVAILABLE
        let_go.set()
        await eventually(lambda: served.tasks == 0, "it ends at last")


async def test_a_stopped_server_listens_no_more_and_its_port_is_free() -> None:
    async with serving({"Echo": unary_unary(echo)}) as served:
        await served.unary("Echo")
        await served.server.stop(None)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", served.port)
        second = notecast_wire.server()
        assert second.add_insecure_port(served.address) == served.port
        await second.stop(None)


async def test_termination_is_waited_for() -> None:
    server = notecast_wire.server()
    server.add_insecure_port("127.0.0.1:0")
    await server.start()
    assert not await server.wait_for_termination(0.01)
    waiting = asyncio.ensure_future(server.wait_for_termination())
    await server.stop(None)
    assert await asyncio.wait_for(waiting, 10)
    with pytest.raises(aio.UsageError):
        await server.start()


async def test_a_server_that_was_never_started_gives_its_port_back() -> None:
    server = notecast_wire.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.stop(None)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))


async def test_a_taken_port_is_refused_before_the_start() -> None:
    async with serving({}) as served:
        for address in (served.address, f"0.0.0.0:{served.port}"):
            with pytest.raises(RuntimeError, match=str(served.port)):
                notecast_wire.server().add_insecure_port(address)
        taken = aio.server(options=(("grpc.so_reuseport", 0),))
        with pytest.raises(RuntimeError):
            taken.add_insecure_port(served.address)


async def test_clients_that_come_before_the_start_are_served_after_it() -> None:
    server = notecast_wire.server()
    server.add_registered_method_handlers(SERVICE, {"Echo": unary_unary(echo)})
    port = server.add_insecure_port("127.0.0.1:0")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = RawClient(reader, writer)
    client.start({})
    stream = client.call("Echo", b"early")
    await server.start()
    assert (await client.ended(stream)).messages == [b"early"]
    await client.close()
    await server.stop(None)


@pytest.mark.parametrize(
    ("address", "start"),
    [
        ("127.0.0.1:0", b"ipv4:127.0.0.1:"),
        ("[::1]:0", b"ipv6:%5B::1%5D:"),
        ("localhost:0", b"ipv"),
        ("[::]:0", b"ipv"),
    ],
)
async def test_addresses_of_every_family_are_served(address: str, start: bytes) -> None:
    async def look(_: bytes, context: Context) -> bytes:
        return str(context.peer()).encode()

    server = notecast_wire.server()
    server.add_registered_method_handlers(SERVICE, {"Look": unary_unary(look)})
    port = server.add_insecure_port(address)
    await server.start()
    host = "localhost" if address == "[::]:0" else address.removesuffix(":0")
    async with aio.insecure_channel(f"{host}:{port}") as channel:
        peer = await ask(channel, "Look")
    assert peer.startswith(start)
    await server.stop(None)


async def test_a_unix_socket_is_served_removed_at_the_end_and_taken_over_when_stale(
    tmp_path: Path,
) -> None:
    async def look(_: bytes, context: Context) -> bytes:
        return str(context.peer()).encode()

    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    server = notecast_wire.server()
    server.add_registered_method_handlers(SERVICE, {"Look": unary_unary(look)})
    assert server.add_insecure_port(f"unix:{path}") == 1
    with pytest.raises(RuntimeError):
        notecast_wire.server().add_insecure_port(f"unix://{path}")
    await server.start()
    async with aio.insecure_channel(f"unix:{path}") as channel:
        assert await ask(channel, "Look") == b"unix:"
    await server.stop(None)
    assert not path.exists()


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", "::1:0", ":0", "127.0.0.1:x", "127.0.0.1:65536", "unix:/no/where"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(RuntimeError):
        notecast_wire.server().add_insecure_port(address)


def test_a_file_is_not_taken_over_as_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(RuntimeError):
        notecast_wire.server().add_insecure_port(f"unix:{path}")
    assert path.read_text() == "precious"


async def test_a_sync_client_retries_elsewhere_what_a_leaving_server_refuses() -> None:
    """GOAWAY is taken as it is meant: the next call goes to a new connection."""
    async with serving({"Echo": unary_unary(echo)}) as served:
        with grpc.insecure_channel(served.address) as channel:
            assert await served.ask_from_thread(channel, b"1") == b"1"
            for link in served.connections:
                link.leave()
            assert await served.ask_from_thread(channel, b"2") == b"2"
