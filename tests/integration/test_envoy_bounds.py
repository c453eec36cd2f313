"""What Envoy says when there is too much, who may look into it, and what it writes down."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc import aio
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from hpack import Decoder

from notecast.v1.chat_pb2 import RoomSubscription, SendNoteRequest, SubscribeRequest
from notecast_client.client import Client
from notecast_client.errors import ClientError, ServerUnavailableError
from notecast_wire.rpc.status import LATER
from tests.support import raw_http2 as raw
from tests.support.gateway_process import started_gateway
from tests.support.raw_http2 import RawConnection
from tests.support.services import Gateway, Reader, running_gateway, running_history, texts
from tests.support.shipped_envoy import Change, Configuration, ShippedEnvoy, ask, shipped_envoy
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


@asynccontextmanager
async def envoy(
    valkey: ValkeyProcess, folder: Path, change: Change | None = None
) -> AsyncIterator[ShippedEnvoy]:
    """Envoy before one gateway."""
    async with (
        running_gateway(valkey.url) as gateway,
        shipped_envoy([gateway.target], folder, change) as running,
    ):
        yield running


@asynccontextmanager
async def client_of(running: ShippedEnvoy) -> AsyncIterator[Gateway]:
    """A client's hands, on a connection of its own."""
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))
    async with aio.insecure_channel(running.target, options=options) as channel:
        yield Gateway(running.target, channel)


async def refusal(client: Gateway) -> grpc.StatusCode:
    """The code with which a send is refused."""
    with pytest.raises(aio.AioRpcError) as refused:
        await client.send("room", "too much")
    return refused.value.code()


async def test_a_connection_too_many_is_refused_as_unavailable_and_the_others_go_on(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    def two(configuration: Configuration) -> None:
        (_, monitor) = configuration["overload_manager"]["resource_monitors"]
        monitor["typed_config"]["max_active_downstream_connections"] = 2

    async with (
        envoy(valkey, tmp_path, two) as running,
        client_of(running) as first,
        first.read("room") as reader,
    ):
        _, second = await asyncio.open_connection("127.0.0.1", running.port)
        async with client_of(running) as third:
            assert await refusal(third) == grpc.StatusCode.UNAVAILABLE
        await first.send("room", "still here")
        assert texts(await reader.notes(1)) == ["still here"]
        # Whoever looks after it gets in all the same.
        assert (await ask(running.admin_port, "GET", "/ready")).status == 200
        second.close()

        async def is_served() -> bool:
            async with client_of(running) as another:
                try:
                    await another.send("room", "room for me")
                except aio.AioRpcError:
                    return False
                return True

        await eventually(is_served, "there is room again", 20)


async def test_a_call_too_many_is_refused_as_unavailable_and_the_others_go_on(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    def three(configuration: Configuration) -> None:
        (cluster,) = configuration["static_resources"]["clusters"]
        (bounds,) = cluster["circuit_breakers"]["thresholds"]
        bounds["max_requests"] = 3

    async with envoy(valkey, tmp_path, three) as running, client_of(running) as client:
        async with client.read("room") as reader, client.read("room"):
            await client.send("room", "hello")
            async with client.read("room"):
                assert await refusal(client) == grpc.StatusCode.UNAVAILABLE
            assert texts(await reader.notes(1)) == ["hello"]
        await client.send("room", "room for me")


def pressure_by_file(pressure: Path) -> tuple[Callable[[float], None], Change]:
    """How to say how short of memory Envoy is, from 0 to 1; and the change that it takes."""
    monitor = "envoy.resource_monitors.injected_resource"

    def set_pressure(value: float) -> None:
        # Envoy heeds files that are moved into their place.
        pressure.with_suffix(".new").write_text(str(value))
        pressure.with_suffix(".new").rename(pressure)

    def told_by_a_file(configuration: Configuration) -> None:
        manager = configuration["overload_manager"]
        heap = manager["resource_monitors"][0]
        kind = "envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig"
        replaced = heap["name"]
        heap["name"] = monitor
        heap["typed_config"] = {"@type": f"type.googleapis.com/{kind}", "filename": str(pressure)}
        for action in manager["actions"]:
            for trigger in action["triggers"]:
                assert trigger["name"] == replaced
                trigger["name"] = monitor

    return set_pressure, told_by_a_file


async def test_short_of_memory_new_calls_are_refused_as_unavailable_and_streams_go_on(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    set_pressure, told_by_a_file = pressure_by_file(tmp_path / "pressure")
    set_pressure(0)
    async with envoy(valkey, tmp_path, told_by_a_file) as running:
        (gateway,) = await running.gateways()
        async with (
            client_of(running) as client,
            aio.insecure_channel(gateway) as direct,
            client.read("room") as reader,
        ):
            await client.send("room", "before")
            set_pressure(0.96)

            async def is_short() -> bool:
                name = "overload.envoy.overload_actions.stop_accepting_requests.active"
                return await running.stat(name) == 1

            await eventually(is_short, "Envoy knows that it is short of memory")
            assert await refusal(client) == grpc.StatusCode.UNAVAILABLE
            await Gateway(gateway, direct).send("room", "meanwhile")
            assert await _heard(reader) == ["before", "meanwhile"]
            set_pressure(0)

            async def is_fine() -> bool:
                return not await is_short()

            await eventually(is_fine, "Envoy knows that there is memory again")
            async with client_of(running) as another:
                await another.send("room", "after")
            assert await _heard(reader, 1) == ["after"]


async def test_short_of_memory_the_streams_that_hold_most_go_first(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    set_pressure, told_by_a_file = pressure_by_file(tmp_path / "pressure")
    set_pressure(0)
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        shipped_envoy([gateway.target], tmp_path, told_by_a_file) as running,
        client_of(running) as client,
        client.read("room") as reader,
    ):
        for _ in range(20):
            await client.send("large", "x" * 16_000)
        with RawConnection(running.port) as deaf:
            deaf.open((raw.INITIAL_WINDOW_SIZE, 0))
            wanted = SubscribeRequest(
                subscriptions=[RoomSubscription(room="large", from_start=True)]
            )
            deaf.send(raw.headers(1, raw.request("/notecast.v1.ChatService/Subscribe")))
            deaf.send(raw.data(1, raw.message(wanted.SerializeToString()), end=True))
            seen: set[int] = set()

            def has_come(kind: int) -> bool:
                seen.update(frame.kind for frame in deaf.frames(0.02) if frame.stream_id == 1)
                return kind in seen

            await eventually(lambda: has_come(raw.HEADERS), "the stream has begun")
            set_pressure(0.94)
            await eventually(lambda: has_come(raw.RST_STREAM), "its stream is reset")
        await client.send("room", "still here")
        assert await _heard(reader, 1) == ["still here"]


async def _heard(reader: Reader, count: int = 2) -> list[str]:
    return texts(await reader.notes(count))


async def test_its_admin_address_is_on_the_loopback_alone(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with envoy(valkey, tmp_path) as running:
        listening = await asyncio.to_thread(_listening)
        assert [host for host, port in listening if port == running.admin_port] == ["127.0.0.1"]


def _listening() -> set[tuple[str, int]]:
    """Everything on this machine that takes TCP connections."""
    return {
        (each.laddr.ip, each.laddr.port)
        for each in psutil.net_connections("tcp")
        if each.laddr and each.status == psutil.CONN_LISTEN
    }


async def test_a_call_that_fails_is_one_line_of_json_without_the_notes_text(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with envoy(valkey, tmp_path) as running, client_of(running) as client:
        await client.send("room", "a private word")
        with pytest.raises(aio.AioRpcError):
            await client.send("", "a private word")
        await ask(running.port, "GET", "/strange?token=private")
        await eventually(lambda: len(running.logged_calls) == 2, "both are logged")
        failed, strange = running.logged_calls
        (gateway,) = await running.gateways()
    assert failed["method"] == "/notecast.v1.ChatService/SendNote"
    assert failed["grpc_status"] == "INVALID_ARGUMENT"
    assert failed["gateway"] == gateway
    assert failed["attempts"] == 1
    assert failed["duration_ms"] >= 0
    assert strange["method"] == "/strange"
    assert strange["http_status"] == 405
    assert "private" not in (tmp_path / "envoy.log").read_text()


async def test_a_stream_that_loses_its_gateway_is_logged_and_one_that_its_client_leaves_is_not(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with (
        started_gateway(valkey.url) as (process, gateway),
        shipped_envoy([gateway.target], tmp_path) as running,
        client_of(running) as client,
        client.read("room") as lost,
    ):
        async with client.read("room"):
            pass
        await eventually(lambda: _open(running, 1), "Envoy knows that the client has left")
        process.kill()
        assert await lost.kinds(1) == ["caught_up"]
        with pytest.raises(aio.AioRpcError):
            await lost.event()
        await eventually(lambda: running.logged_calls, "the loss is logged")
        (line,) = running.logged_calls
        assert line["method"] == "/notecast.v1.ChatService/Subscribe"
        assert line["gateway"] == gateway.target
        # What is left to an operator where refused requests take all the lines.
        assert await running.stat("cluster.chat-gateway.upstream_cx_destroy_with_active_rq") == 1


async def _open(running: ShippedEnvoy, count: int) -> bool:
    (gateway,) = (await running.gateways()).values()
    return gateway.open_calls == count


async def test_every_call_is_logged_when_an_operator_asks_for_it(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with envoy(valkey, tmp_path) as running, client_of(running) as client:
        await client.send("room", "unseen")
        await ask(running.admin_port, "POST", "/runtime_modify?access_log.well=10000")
        await client.send("room", "seen")
        await eventually(lambda: running.logged_calls, "it is logged")
        (line,) = running.logged_calls
        assert line["grpc_status"] == "OK"
        assert line["protocol"] == "HTTP/2"


REFUSED = 2_000
LINES_AT_ONCE, LINES_A_SECOND = 50, 5


async def test_refused_requests_without_end_leave_some_lines_a_second_and_later_ones_are_logged(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with envoy(valkey, tmp_path) as running, client_of(running) as other:
        began = time.monotonic()
        await asyncio.to_thread(_be_refused, running.port, REFUSED)
        name = "access_log.process_ratelimit"

        async def is_all_judged() -> bool:
            judged = [await running.stat(f"{name}.{what}") for what in ("allowed", "denied")]
            return sum(judged) == REFUSED

        await eventually(is_all_judged, "each is logged or not")
        seconds = time.monotonic() - began
        lines = len(running.log)
        assert LINES_AT_ONCE <= lines <= LINES_AT_ONCE + LINES_A_SECOND * (seconds + 1)

        async def is_logged_again() -> bool:
            with pytest.raises(aio.AioRpcError):
                await other.send("", "")
            return any(line["client"] != first for line in running.logged_calls)

        first = running.logged_calls[0]["client"]
        await eventually(is_logged_again, "another client's failure is logged")


def _be_refused(port: int, times: int) -> None:
    """Makes requests that are refused, on one connection, until each is answered."""
    send, empty = raw.request("/notecast.v1.ChatService/SendNote"), raw.message(b"")
    stranger = _plain_request(b"POST", b"strange.test")
    page = _plain_request(b"GET", b"localhost")
    refused: list[Callable[[int], bytes]] = [
        lambda stream: raw.headers(stream, stranger, end=True),  # by Envoy
        lambda stream: raw.headers(stream, page, end=True),  # by the gateway, as no call
        lambda stream: raw.headers(stream, send) + raw.data(stream, empty, end=True),
    ]
    with RawConnection(port) as hostile:
        hostile.open()
        hostile.send(raw.window_update(0, 2**30))
        made, answered = 0, set[int]()
        until = time.monotonic() + 60
        while len(answered) < times:
            assert time.monotonic() < until
            assert not hostile.closed
            while made < times and made - len(answered) < 200:
                hostile.send(refused[made % len(refused)](2 * made + 1))
                made += 1
            answered |= {f.stream_id for f in hostile.frames(0.1) if f.kind == raw.HEADERS}


def _plain_request(method: bytes, host: bytes) -> bytes:
    return raw.block(
        [(b":method", method), (b":scheme", b"http"), (b":path", b"/"), (b":authority", host)]
    )


async def test_a_client_that_resets_its_calls_at_once_loses_its_own_connection_and_no_other(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with (
        envoy(valkey, tmp_path) as running,
        client_of(running) as other,
        other.read("room") as reader,
    ):
        with RawConnection(running.port) as hostile:
            hostile.open()
            block = raw.request("/notecast.v1.ChatService/SendNote")
            for stream_id in range(1, 2_001, 2):
                hostile.send(raw.headers(stream_id, block) + raw.rst_stream(stream_id))
            await eventually(lambda: _is_closed(hostile), "the connection is closed")
        await other.send("room", "still here")
        assert texts(await reader.notes(1)) == ["still here"]


def _is_closed(connection: RawConnection) -> bool:
    connection.frames(0.05)
    return connection.closed


async def test_a_request_that_does_not_come_is_ended_with_words_and_streams_live_on(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    def soon(configuration: Configuration) -> None:
        manager_of(configuration)["request_timeout"] = "1s"

    async with (
        envoy(valkey, tmp_path, soon) as running,
        client_of(running) as client,
        client.read("room") as reader,
        aio.insecure_channel(running.target) as channel,
    ):
        # Bidirectional: the request goes on for as long as the client likes.
        stub: Any = ServerReflectionStub(channel)  # type: ignore[arg-type]
        questions = stub.ServerReflectionInfo()
        await questions.write(ServerReflectionRequest(list_services=""))
        first = await questions.read()
        with RawConnection(running.port) as slow:
            slow.open()
            slow.send(raw.headers(1, raw.request("/notecast.v1.ChatService/SendNote")))
            frames: list[raw.Frame] = []

            def is_answered() -> bool:
                frames.extend(slow.frames(0.05))
                return any(frame.kind == raw.HEADERS for frame in frames)

            await eventually(is_answered, "the call is ended")
            (answer,) = [frame for frame in frames if frame.kind == raw.HEADERS]
            told = dict(Decoder().decode(answer.payload, raw=True))
            assert told[b"grpc-status"] == b"2"
            assert b"was not complete" in told[b"grpc-message"]
        await client.send("room", "still here")
        assert texts(await reader.notes(1)) == ["still here"]
        await questions.write(ServerReflectionRequest(list_services=""))
        assert await questions.read() == first


async def test_headers_that_are_too_large_for_envoy_are_said_to_be_over_http_1(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with envoy(valkey, tmp_path) as running:
        headers = {"content-type": "application/grpc-web+proto", "x-large": "v" * 30_000}
        answer = await ask(running.port, "POST", "/notecast.v1.ChatService/SendNote", headers)
        assert answer.status == 431
        assert answer.body == (
            b"the request has more than 200 header fields, or more than 24,576 octets of them"
        )


LARGE_AT_ONCE, LARGE_A_SECOND = 20, 50
OTHER_ADDRESS = "127.0.0.66"
INVALID_ARGUMENT, UNAVAILABLE = "3", "14"
SUBSCRIBE = "/notecast.v1.ChatService/Subscribe"


async def test_one_address_is_refused_much_metadata_beyond_a_rate_and_little_never(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with envoy(valkey, tmp_path) as running, client_of(running) as client:
        began = time.monotonic()
        others = asyncio.create_task(asyncio.to_thread(_statuses_of, OTHER_ADDRESS, running.port))
        outcomes = await asyncio.gather(*(_send_with(client, 8_000) for _ in range(300)))
        seconds = time.monotonic() - began
        taken = outcomes.count("OK")
        assert LARGE_AT_ONCE <= taken <= LARGE_AT_ONCE + LARGE_A_SECOND * (seconds + 1)
        refused = (
            "RESOURCE_EXHAUSTED: too many requests with over 4,096 octets of metadata from this "
            "address: at most 20 at once and 50 a second; again after 1000 ms"
        )
        assert set(outcomes) == {"OK", refused}
        assert await others == {INVALID_ARGUMENT}
        counted = await running.stat("large_metadata.http_local_rate_limit.rate_limited")
        assert counted == len(outcomes) - taken
        outcomes = await asyncio.gather(*(_send_with(client, 2_000) for _ in range(300)))
        assert set(outcomes) == {"OK"}


async def _send_with(client: Gateway, octets: int) -> str:
    """Sends a note with so much metadata; gives the status, and when to come again."""
    request = SendNoteRequest(room="room", author="ada", text="hello")
    try:
        await client.stub.SendNote(request, metadata=[("x-large", "v" * octets)], timeout=10)
    except aio.AioRpcError as error:
        said = f"{error.code().name}: {error.details()}"
        advice = dict(error.trailing_metadata() or ()).get("grpc-retry-pushback-ms")
        return said if advice is None else f"{said}; again after {advice!s} ms"
    return "OK"


def _statuses_of(address: str, port: int) -> set[str | None]:
    """Makes some calls with much metadata from an address; gives their statuses."""
    headers = {"content-type": "application/grpc-web+proto", "x-large": "v" * 8_000}
    statuses = set[str | None]()
    for _ in range(LARGE_AT_ONCE):
        connection = HTTPConnection("127.0.0.1", port, timeout=10, source_address=(address, 0))
        with closing(connection):
            connection.request("POST", "/notecast.v1.ChatService/SendNote", bytes(5), headers)
            statuses.add(connection.getresponse().getheader("grpc-status"))
    return statuses


def _one_stream_in(interval: str) -> Change:
    """Takes streams for the requests with much metadata, and one of them in so much time."""

    def change(configuration: Configuration) -> None:
        (limit,) = (
            found["typed_config"]
            for found in manager_of(configuration)["http_filters"]
            if found["name"] == "envoy.filters.http.local_ratelimit"
        )
        (actions,) = limit["rate_limits"]
        size = actions["actions"][0]["extension"]["typed_config"]
        size["text"] = f"request.path == '{SUBSCRIBE}' ? 'large' : 'usual'"
        (bucket,) = limit["descriptors"]
        bucket["token_bucket"] = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": interval}

    return change


async def test_a_page_that_is_refused_much_metadata_is_told_when_to_come_again(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    page = {"origin": "http://localhost:5173", "content-type": "application/grpc-web+proto"}
    async with envoy(valkey, tmp_path, _one_stream_in("60s")) as running:
        taken = await ask(running.port, "POST", SUBSCRIBE, page, bytes(5))
        refused = await ask(running.port, "POST", SUBSCRIBE, page, bytes(5))
    told = "grpc-retry-pushback-ms"
    assert (taken.headers["grpc-status"], told in taken.headers) == (INVALID_ARGUMENT, False)
    # Envoy turns a refusal of its own into gRPC-Web by its HTTP status alone.
    assert (refused.status, refused.headers["grpc-status"]) == (429, UNAVAILABLE)
    assert refused.headers["grpc-message"].startswith("too many requests with over 4,096 octets")
    assert [(told.encode(), refused.headers[told].encode())] == LATER
    assert told in refused.headers["access-control-expose-headers"].split(", ")


async def test_the_client_library_comes_again_where_it_is_refused_much_metadata(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    losses: list[tuple[ClientError | None, float]] = []
    async with (
        envoy(valkey, tmp_path, _one_stream_in("0.5s")) as running,
        Client(running.target) as client,
        client_of(running) as other,
        other.read("room"),
    ):
        events = client.subscribe("room", on_lost=lambda *loss: losses.append(loss))
        async with aclosing(events), asyncio.timeout(10):
            assert (await anext(events)).HasField("caught_up")
    ((error, delay),) = losses
    assert isinstance(error, ServerUnavailableError)
    assert delay >= 1


async def test_trailers_of_requests_go_no_further_and_their_calls_are_answered(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    """A gateway would have to decode them: after some sixty it would refuse their client."""
    async with envoy(valkey, tmp_path) as running:
        statuses = await asyncio.to_thread(_statuses_with_trailers, running.port, 200)
        assert statuses == [b"0"] * 200


def _statuses_with_trailers(port: int, times: int) -> list[bytes]:
    """Sends notes one by one, each with trailers of 8,000 octets; gives the calls' statuses."""
    send = raw.request("/notecast.v1.ChatService/SendNote")
    note = raw.message(SendNoteRequest(room="room", author="a", text="t").SerializeToString())
    trailers = raw.block([(b"x-large", b"v" * 8_000)])
    decoder, statuses = Decoder(), list[bytes]()
    with RawConnection(port) as connection:
        connection.open()
        while len(statuses) < times and not connection.closed:
            stream = 2 * len(statuses) + 1
            request = raw.headers(stream, send) + raw.data(stream, note)
            connection.send(request + raw.headers(stream, trailers, end=True))
            status, until = b"", time.monotonic() + 10
            while not status and not connection.closed:
                assert time.monotonic() < until
                for frame in connection.frames(1):
                    if frame.kind == raw.HEADERS:
                        fields = dict(decoder.decode(frame.payload, raw=True))
                        status = fields.get(b"grpc-status", status)
            statuses.append(status)
    return statuses


def manager_of(configuration: Configuration) -> Configuration:
    """The part that is about HTTP."""
    (listener,) = configuration["static_resources"]["listeners"]
    (chain,) = listener["filter_chains"]
    (found,) = chain["filters"]
    manager: Configuration = found["typed_config"]
    return manager
