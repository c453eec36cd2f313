"""All that both gRPC servers owe to clients; the one module that runs on both of them.

- Each note reaches every stream once and in order, on every gateway; a stream that begins in the
  past goes on live.
- An error has its code, and details for people and programs: of a request that breaks a bound, one
  that can't be parsed, a deadline, a limit that is reached, and a part that is away.
- A client that does not read slows no other one. Its stream ends with the reason and its position,
  the log names both, and its place is free again. A client that leaves leaves nothing behind.
- Behind a trusted proxy a client is whom the proxy names.
- A gateway that ends sends its streams elsewhere first, and waits for no client that reads nothing.
  A stream has a lifetime.
- The tutorial's service, health and reflection are served, too. Two gateways never share a port.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, NamedTuple, get_args

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import (  # type: ignore[attr-defined]  # the stubs know no List
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
)
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from structlog.testing import capture_logs

from chat_gateway.rooms.hub import Hub
from chat_gateway.streams.streams import Streams
from notecast.v1.chat_pb2 import (
    ListNotesRequest,
    RoomSubscription,
    SendNoteRequest,
    SubscribeRequest,
    SubscribeResponse,
)
from notecast.v1.event_pb2 import Event
from notecast_client.client import Client
from notecast_runtime.transports import TransportName
from tests.support import raw_http2 as raw
from tests.support.census import the
from tests.support.gateway_process import started_gateway
from tests.support.health import health_of, wait_for_health, wait_until_serving
from tests.support.service_process import service_process
from tests.support.services import Gateway, from_start, running_gateway, running_history, texts
from tests.support.statuses import detail_of, reason_of, retry_delay_ms
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually
from tutorial.chat_pb2 import Empty, Note
from tutorial.chat_pb2_grpc import ChatServerStub

SECONDS = 20.0
LARGE = "x" * 250_000
LARGE_TEXTS: dict[str, Any] = {"max_text_bytes": 262_144, "ring_bytes": 67_108_864}
"""Notes that soon fill all between gateway and client; none is read from history, which is down."""

OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


@pytest.fixture(params=get_args(TransportName), autouse=True)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The gRPC server of every gateway that the test starts, in this process or another."""
    chosen = str(request.param)
    monkeypatch.setenv("NOTECAST_TRANSPORT", chosen)
    return chosen


class Ending(NamedTuple):
    """How a stream ended."""

    last: Event
    code: grpc.StatusCode


async def ending_of(call: aio.UnaryStreamCall[SubscribeRequest, SubscribeResponse]) -> Ending:
    """Reads a stream to its end."""
    last = Event()
    async with asyncio.timeout(SECONDS):
        while isinstance(response := await call.read(), SubscribeResponse):
            last = response.events[-1]
        return Ending(last, await call.code())


async def error_of(answer: Awaitable[object]) -> aio.AioRpcError:
    """The error that a call, or a read of a stream, ends with."""
    async with asyncio.timeout(SECONDS):
        with pytest.raises(aio.AioRpcError) as error:
            await answer
    return error.value


def faulty_fields(error: aio.AioRpcError) -> list[str]:
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(error) == "INVALID_REQUEST"
    violations = detail_of(error, error_details_pb2.BadRequest).field_violations
    return [violation.field for violation in violations]


# Notes


async def test_each_note_reaches_the_streams_of_every_gateway_once_and_in_order(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as one, running_gateway(valkey.url) as other:
        readers = [gateway.read("busy") for gateway in (one, other) for _ in range(10)]
        await asyncio.gather(*(reader.__aenter__() for reader in readers))
        reading = [asyncio.create_task(reader.notes(200)) for reader in readers]

        async def send(gateway: Gateway, numbers: range) -> dict[int, str]:
            sent = {}
            for number in numbers:
                answer = await gateway.send("busy", f"n{number}", deadline_seconds=30)
                sent[answer.cursor.sequence] = f"n{number}"
            return sent

        parts = await asyncio.gather(
            *(send((one, other)[n % 2], range(n, 200, 10)) for n in range(10))
        )
        sent = {sequence: text for part in parts for sequence, text in part.items()}
        for notes in await asyncio.gather(*reading):
            assert [note.sequence for note in notes] == [*range(1, 201)]
            assert {note.sequence: note.text for note in notes} == sent
        for reader in readers:
            reader.call.cancel()


async def test_a_note_keeps_all_that_its_sender_gave(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway, gateway.read("lobby") as reader:
        request = SendNoteRequest(
            room="lobby", author="ann", text="hé\n🙂", note_id="n-1", labels={"lang": "fr"}
        )
        answer = await gateway.stub.SendNote(request, timeout=10)
        (note,) = await reader.notes(1)
        assert (note.room, note.author, note.text) == ("lobby", "ann", "hé\n🙂")
        assert (note.note_id, dict(note.labels)) == ("n-1", {"lang": "fr"})
        assert (note.epoch, note.sequence) == (answer.cursor.epoch, answer.cursor.sequence)
        assert note.create_time == answer.create_time


async def test_a_stream_that_begins_in_the_past_goes_on_live(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        for number in range(1, 6):
            last = await gateway.send("lobby", f"n{number}")
        page = await gateway.stub.ListNotes(ListNotesRequest(room="lobby", page_size=3), timeout=10)
        assert texts(page.notes) == ["n3", "n4", "n5"]
        starts = (
            (from_start("lobby"), ["n1", "n2", "n3", "n4", "n5", "caught_up"]),
            (RoomSubscription(room="lobby", last=2), ["n5", "n6", "caught_up"]),
            (RoomSubscription(room="lobby", after=last.cursor), ["n6", "n7", "caught_up"]),
        )
        for number, (wanted, expected) in enumerate(starts, start=6):
            async with gateway.read(wanted) as reader:
                assert await reader.kinds(len(expected)) == expected
                await gateway.send("lobby", f"n{number}")
                assert await reader.kinds(1) == [f"n{number}"]


# Errors


async def test_a_request_that_breaks_a_bound_is_refused_with_each_field(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url, max_rooms_per_stream=2) as gateway:
        request = SendNoteRequest(room="lobby", author="", text="x" * 16_385, note_id="\x00")
        error = await error_of(gateway.stub.SendNote(request, timeout=10))
        assert set(faulty_fields(error)) == {"author", "text", "note_id"}
        error = await error_of(gateway.read("a", "b", "c").event())
        assert faulty_fields(error) == ["subscriptions"]


@pytest.mark.parametrize(
    ("method", "field", "request_bytes"),
    [
        (
            "SendNote",
            "text",
            SendNoteRequest(room="den", author="ann", text="some text")
            .SerializeToString()
            .replace(b"some text", b"some\xfftext"),
        ),
        ("SendNote", "request", b"\xff\xff\xff\xff"),
        (
            "Subscribe",
            "subscriptions[0].room",
            SubscribeRequest(subscriptions=[RoomSubscription(room="bb")])
            .SerializeToString()
            .replace(b"bb", b"b\xff"),
        ),
    ],
    ids=["a field", "all of it", "a stream's"],
)
async def test_a_request_that_can_not_be_parsed_is_an_invalid_one_that_names_the_field(
    method: str, field: str, request_bytes: bytes, valkey: ValkeyProcess
) -> None:
    async with running_gateway(valkey.url) as gateway:
        call: Any = gateway.channel.unary_unary(f"/notecast.v1.ChatService/{method}")
        assert faulty_fields(await error_of(call(request_bytes, timeout=10))) == [field]


async def test_a_call_is_answered_within_its_deadline_though_redis_hangs(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        valkey.pause()
        for call in (
            gateway.send("lobby", "stuck", deadline_seconds=1),
            gateway.stub.Subscribe(
                SubscribeRequest(subscriptions=[from_start("lobby")]), timeout=1
            ).read(),
        ):
            error = await error_of(call)
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert reason_of(error) == "DEADLINE_EXCEEDED"  # as the gateway says it
        valkey.resume()
        await wait_until_serving(gateway.target)
        await gateway.send("lobby", "on again")


async def test_what_is_away_or_has_no_place_says_when_to_try_again(valkey: ValkeyProcess) -> None:
    undivided: dict[str, Any] = {"client_share": 1, "connection_share": 1}
    async with (
        running_gateway(valkey.url, max_streams=1, **undivided) as gateway,
        gateway.read("lobby") as stays,
    ):
        error = await error_of(gateway.read("den").event())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(error) == "TOO_MANY_STREAMS"
        assert retry_delay_ms(error) > 0
        error = await error_of(gateway.stub.ListNotes(ListNotesRequest(room="lobby"), timeout=5))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(error) == "HISTORY_UNAVAILABLE"
        assert retry_delay_ms(error) > 0
        assert await health_of(gateway.target) == "SERVING"
        await gateway.send("lobby", "still taken")
        assert texts(await stays.notes(1)) == ["still taken"]


# Clients that do not read, and clients that leave


async def test_a_stream_that_is_not_read_slows_no_other_and_ends_with_its_reason_and_position(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_gateway(valkey.url, slow_reader_seconds=0.5, **LARGE_TEXTS) as gateway,
        gateway.read("lobby") as other,
        aio.insecure_channel(gateway.target, options=OWN_CONNECTION) as channel,
        Gateway(gateway.target, channel).read("lobby", "den") as stalled,
    ):
        reading = asyncio.create_task(other.notes(40))
        for number in range(40):
            await gateway.send("lobby", f"{number} {LARGE}", deadline_seconds=30)
        assert [note.sequence for note in await reading] == [*range(1, 41)]
        await eventually(lambda: [*the(Hub).open_rooms()] == ["lobby"], "the stream has ended")
        sequences: list[int] = []

        async def read_on() -> None:
            while True:
                sequences.extend(note.sequence for note in await stalled.notes(1))

        error = await error_of(read_on())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(error) == "SLOW_READER"
        assert retry_delay_ms(error) > 0
        told = dict(detail_of(error, error_details_pb2.ErrorInfo).metadata)
        assert (told["rooms"], told["room"], told["room_2"]) == ("2", "lobby", "den")
        assert (told["sequence"], told["sequence_2"]) == (str(sequences[-1]), "0")
        assert sequences == [*range(1, len(sequences) + 1)]
        assert len(sequences) < 40


async def test_the_log_names_the_peer_of_a_stream_that_was_not_read_and_its_position(
    valkey: ValkeyProcess, transport: str
) -> None:
    async with service_process("chat_gateway", valkey.url, slow_reader_seconds=0.5) as gateway:
        await wait_until_serving(gateway.target)
        with raw.RawConnection(int(gateway.target.rpartition(":")[2])) as stuck:
            wanted = SubscribeRequest(subscriptions=[from_start("lobby")])
            stuck.open((raw.INITIAL_WINDOW_SIZE, 0))
            stuck.send(
                raw.headers(1, raw.request("/notecast.v1.ChatService/Subscribe"))
                + raw.data(1, raw.message(wanted.SerializeToString()), end=True)
            )
            line = await gateway.logs("slow_reader_ended")
            assert line["peer"] == f"ipv4:{stuck.address}"
            assert line["client"] == "127.0.0.1"
            assert [(each["room"], each["sequence"]) for each in line["positions"]] == [
                ("lobby", 0)
            ]
            # grpc.aio tells of no connections.
            assert ("connection" in line) == (transport == "wire")


async def test_a_stuck_client_that_leaves_leaves_nothing_behind(valkey: ValkeyProcess) -> None:
    async with running_gateway(
        valkey.url, slow_reader_seconds=1.5, max_streams=1, **LARGE_TEXTS
    ) as gateway:
        async with gateway.read("lobby"):
            for number in range(40):
                await gateway.send("lobby", f"{number} {LARGE}", deadline_seconds=30)
            await eventually(lambda: not the(Hub).open_rooms(), "the stream has ended")
            # Until its status is out the stream has its place, and no other gets it.
            error = await error_of(gateway.read("den").event())
            assert reason_of(error) == "TOO_MANY_STREAMS"
        await eventually(lambda: not len(the(Streams)), "the place is free again")
        async with gateway.read("den") as reader:
            assert await reader.kinds(1) == ["caught_up"]


async def test_streams_that_are_cancelled_give_back_their_places_and_rooms(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        readers = [gateway.read(f"room {number % 10}") for number in range(100)]
        for reader in readers[:50]:
            reader.call.cancel()  # while it is joining
        await asyncio.gather(*(reader.__aenter__() for reader in readers[50:]))
        for reader in readers[50:]:
            reader.call.cancel()
        await eventually(lambda: not len(the(Streams)), "all places are free again")
        await eventually(lambda: not the(Hub).open_rooms(), "all rooms are left")


# Clients behind a proxy


async def test_behind_a_trusted_proxy_each_client_that_it_names_has_a_share_of_its_own(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(
        valkey.url, trusted_proxies="127.0.0.1", max_streams=8, connection_share=1
    ) as gateway:

        def subscribe(address: str) -> Any:  # noqa: ANN401 - a call
            wanted = SubscribeRequest(subscriptions=[RoomSubscription(room="lobby")])
            return gateway.stub.Subscribe(wanted, metadata=(("x-forwarded-for", address),))

        calls = [subscribe("203.0.113.7") for _ in range(4)]  # half of all
        for call in calls:
            assert isinstance(await call.read(), SubscribeResponse)
        error = await error_of(subscribe("203.0.113.7").read())
        assert reason_of(error) == "TOO_MANY_STREAMS"
        told = dict(detail_of(error, error_details_pb2.ErrorInfo).metadata)
        assert told == {"limit": "4", "scope": "client"}
        calls.append(subscribe("203.0.113.8"))
        assert isinstance(await calls[-1].read(), SubscribeResponse)
        for call in calls:
            call.cancel()


# The end of a gateway, and of a stream


async def test_at_its_end_a_gateway_is_not_ready_first_and_then_sends_its_streams_elsewhere(
    valkey: ValkeyProcess,
) -> None:
    times: dict[str, Any] = {
        "drain_notice_seconds": 1,
        "drain_spread_seconds": 0.1,
        "shutdown_grace_seconds": 10,
    }
    async with (
        running_history(valkey.url) as history,
        started_gateway(valkey.url, history, **times) as (process, first),
        running_gateway(valkey.url, history) as second,
        first.read("lobby") as reader,
    ):
        await first.send("lobby", "one")
        assert await reader.kinds(2) == ["caught_up", "one"]
        process.terminate()
        await wait_for_health(first.target, "NOT_SERVING")
        await first.send("lobby", "still taken")
        assert await reader.kinds(1) == ["still taken"]
        end = await ending_of(reader.call)
        assert end.code is grpc.StatusCode.OK
        (place,) = end.last.reconnect.places
        assert place.cursor.sequence == 2
        await second.send("lobby", "elsewhere")
        async with second.read(RoomSubscription(room="lobby", after=place.cursor)) as resumed:
            assert await resumed.kinds(2) == ["elsewhere", "caught_up"]
        async with asyncio.timeout(SECONDS):
            assert await process.wait() == 0


async def test_no_send_of_our_client_fails_while_a_gateway_ends(valkey: ValkeyProcess) -> None:
    times: dict[str, Any] = {
        "drain_notice_seconds": 0.3,
        "drain_spread_seconds": 0.3,
        "shutdown_grace_seconds": 5,
    }
    async with (
        started_gateway(valkey.url, **times) as (process, first),
        running_gateway(valkey.url) as second,
        Client(f"ipv4:{first.target},{second.target}") as client,
        second.read("lobby") as reader,
    ):
        sent = 0
        for _ in range(20):
            await client.send("lobby", "ann", f"{sent}")
            sent += 1
        process.terminate()
        until = time.monotonic() + SECONDS
        while process.returncode is None:
            assert time.monotonic() < until, "the gateway does not end"
            await client.send("lobby", "ann", f"{sent}")
            sent += 1
        await client.send("lobby", "ann", f"{sent}")
        assert texts(await reader.notes(sent + 1)) == [f"{number}" for number in range(sent + 1)]


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end(valkey: ValkeyProcess) -> None:
    times: dict[str, Any] = {
        "drain_notice_seconds": 0.1,
        "drain_spread_seconds": 0.1,
        "shutdown_grace_seconds": 2,
    }
    async with (
        started_gateway(valkey.url, **times) as (process, gateway),
        aio.insecure_channel(gateway.target, options=OWN_CONNECTION) as channel,
        Gateway(gateway.target, channel).read("lobby"),
    ):
        for _ in range(200):  # more than the windows and buffers in between take
            await gateway.send("lobby", "x" * 16_384)
        process.terminate()
        async with asyncio.timeout(SECONDS):
            assert await process.wait() == 0


async def test_a_stream_has_a_lifetime_and_goes_on_in_the_next_one(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history, stream_lifetime_seconds=0.5) as gateway,
    ):
        wanted = from_start("lobby")
        for number in range(1, 4):
            await gateway.send("lobby", f"n{number}")
            async with gateway.read(wanted) as reader:
                assert await reader.kinds(2) == [f"n{number}", "caught_up"]
                end = await ending_of(reader.call)
            assert end.code is grpc.StatusCode.OK
            (place,) = end.last.reconnect.places
            wanted = RoomSubscription(room="lobby", after=place.cursor)


# What else is served


async def test_the_tutorials_client_gets_the_history_then_each_note_and_a_word_at_the_end(
    valkey: ValkeyProcess,
) -> None:
    async with running_history(valkey.url) as history:
        async with running_gateway(valkey.url, history, shutdown_grace_seconds=3) as gateway:
            channel = aio.insecure_channel(gateway.target)
            tutorial = ChatServerStub(channel)
            await tutorial.SendNote(Note(name="ann", message="before"), timeout=10)
            stream = tutorial.ChatStream(Empty())
            assert await _message(stream) == "before"
            await gateway.send("lobby", "live")
            assert await _message(stream) == "live"
        error = await error_of(stream.read())
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(error) == "SHUTTING_DOWN"
        await channel.close()


async def _message(stream: aio.UnaryStreamCall[Empty, Note]) -> str:
    async with asyncio.timeout(SECONDS):
        note = await stream.read()
    assert isinstance(note, Note), "the stream has ended"
    return note.message


async def test_health_is_told_by_every_name_and_to_watchers_until_the_end(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        channel = aio.insecure_channel(gateway.target)
        stub: Any = health_pb2_grpc.HealthStub(channel)
        names = ("", "liveness", "readiness", "notecast.v1.ChatService", "grpc.ChatServer")
        for name in names:
            assert await health_of(gateway.target, name) == "SERVING"
        listed = await stub.List(HealthListRequest(), timeout=5)
        assert set(listed.statuses) == set(names)
        error = await error_of(stub.Check(HealthCheckRequest(service="nobody"), timeout=5))
        assert error.code() is grpc.StatusCode.NOT_FOUND
        unknown = stub.Watch(HealthCheckRequest(service="nobody"), timeout=SECONDS)
        assert (await unknown.read()).status == HealthCheckResponse.SERVICE_UNKNOWN
        unknown.cancel()
        watch = stub.Watch(HealthCheckRequest(service="readiness"))
        assert (await watch.read()).status == HealthCheckResponse.SERVING
        valkey.pause()
        async with asyncio.timeout(SECONDS):
            assert (await watch.read()).status == HealthCheckResponse.NOT_SERVING
            valkey.resume()
            assert (await watch.read()).status == HealthCheckResponse.SERVING

    async def read_on() -> None:
        while True:
            assert (await watch.read()).status == HealthCheckResponse.NOT_SERVING

    assert "another one serves" in str((await error_of(read_on())).details())
    await channel.close()


async def test_reflection_tells_every_service(valkey: ValkeyProcess) -> None:
    def services(target: str) -> set[str]:
        with grpc.insecure_channel(target) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            assert database.FindFileContainingSymbol("notecast.v1.ChatService.SendNote")
            return set(database.get_services())

    async with running_gateway(valkey.url) as gateway:
        assert await asyncio.to_thread(services, gateway.target) == {
            "notecast.v1.ChatService",
            "grpc.ChatServer",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        }


async def test_a_method_that_nobody_has_is_unimplemented(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway:
        call: Any = gateway.channel.unary_unary("/notecast.v1.ChatService/Nothing")
        error = await error_of(call(b"", timeout=10))
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_two_gateways_never_share_a_port(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway:
        port = int(gateway.target.rpartition(":")[2])
        with capture_logs() as logs, pytest.raises(SystemExit) as ended:
            async with running_gateway(valkey.url, listen_port=port):
                pytest.fail("it must not come this far")
        assert ended.value.code == 1
        (said,) = [line for line in logs if line["event"] == "cannot_listen"]
        assert said["address"] == gateway.target
        assert "NOTECAST_LISTEN_PORT" in said["hint"]
