"""The client library against a server that keeps the contract, and breaks what it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Self

import grpc
import pytest

from notecast.v1 import chat_pb2, event_pb2, note_pb2
from notecast_client.client import Client
from notecast_client.errors import (
    ClientError,
    NoAnswerError,
    NotConnectedError,
    RequestRefusedError,
    ServerFaultError,
    ServerUnavailableError,
)
from notecast_runtime.errors import HistoryUnavailableError, RedisUnavailableError
from tests.support.ports import free_port
from tests.support.scripted_chat_server import ScriptedChatServer
from tests.support.waiting import eventually

FROM_START = chat_pb2.RoomSubscription(room="lobby", from_start=True)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedChatServer]:
    async with ScriptedChatServer() as scripted:
        yield scripted


@pytest.fixture
async def client(server: ScriptedChatServer) -> AsyncIterator[Client]:
    async with Client(server.address, timeout=5) as connected:
        yield connected


class Reader:
    """Reads a subscription in the background and keeps what it gives."""

    def __init__(self, client: Client, *rooms: str | chat_pb2.RoomSubscription) -> None:
        self.events: list[event_pb2.Event] = []
        self.losses: list[ClientError | None] = []
        self._client = client
        self._rooms = rooms

    @property
    def texts(self) -> list[str]:
        return [event.note.text for event in self.events if event.HasField("note")]

    @property
    def breaks(self) -> list[event_pb2.Discontinuity]:
        return [event.discontinuity for event in self.events if event.HasField("discontinuity")]

    @property
    def caught_up(self) -> int:
        return sum(event.HasField("caught_up") for event in self.events)

    async def has(self, *texts: str) -> None:
        await eventually(lambda: self.texts[-len(texts) :] == [*texts], f"{texts} arrive")

    async def has_caught_up(self, times: int = 1) -> None:
        await eventually(lambda: self.caught_up >= times, "the room has caught up")

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        outcome = await asyncio.gather(self._task, return_exceptions=True)
        assert isinstance(outcome[0], asyncio.CancelledError)

    async def _read(self) -> None:
        subscription = self._client.subscribe(
            *self._rooms, on_lost=lambda error, _delay: self.losses.append(error)
        )
        async with aclosing(subscription) as events:
            async for event in events:
                self.events.append(event)


async def test_a_note_that_was_sent_comes_to_a_subscriber(
    server: ScriptedChatServer, client: Client
) -> None:
    async with Reader(client, "lobby") as reader:
        await reader.has_caught_up()
        answer = await client.send("lobby", "ann", "hello", labels={"k": "v"})
        await reader.has("hello")
    note = reader.events[-1].note
    assert (note.author, dict(note.labels)) == ("ann", {"k": "v"})
    assert (answer.cursor.epoch, answer.cursor.sequence) == (server.epoch, 1)


async def test_every_send_carries_an_id_of_its_own(
    server: ScriptedChatServer, client: Client
) -> None:
    await client.send("lobby", "ann", "one")
    await client.send("lobby", "ann", "two")
    await client.send("lobby", "ann", "three", note_id="mine")
    first, second, third = [request.note_id for request in server.send_requests]
    assert len(first) == len(second) == 32
    assert first != second
    assert third == "mine"


async def test_a_send_whose_answer_is_lost_is_sent_again_with_its_id(
    server: ScriptedChatServer, client: Client
) -> None:
    server.lost_answers = [RedisUnavailableError("away"), grpc.StatusCode.INTERNAL]
    answer = await client.send("lobby", "ann", "hello")
    assert answer.duplicate
    assert len({request.note_id for request in server.send_requests}) == 1
    assert len(server.send_requests) == 3


async def test_a_send_is_tried_until_its_deadline_and_then_says_why_it_failed(
    server: ScriptedChatServer, client: Client
) -> None:
    server.send_fault = RedisUnavailableError("Redis is away")
    with pytest.raises(ServerUnavailableError) as caught:
        await client.send("lobby", "ann", "hello", timeout=2.5)
    assert caught.value.retry_after_seconds == 1.0
    assert caught.value.reason == "REDIS_UNAVAILABLE"
    assert len(server.send_requests) > 1


async def test_a_send_that_the_server_knows_nothing_of_is_not_tried_again(
    server: ScriptedChatServer, client: Client
) -> None:
    server.send_fault = grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(ServerFaultError):
        await client.send("lobby", "ann", "hello")
    assert len(server.send_requests) == 1


async def test_a_send_that_gets_no_answer_ends_at_its_deadline(
    server: ScriptedChatServer, client: Client
) -> None:
    server.sends_pass.clear()
    with pytest.raises(NoAnswerError):
        await client.send("lobby", "ann", "hello", timeout=0.2)


async def test_a_refused_request_says_which_field_is_at_fault(client: Client) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        await client.send("lobby", "ann", "")
    assert [violation.field for violation in caught.value.violations] == ["text"]


async def test_a_server_that_is_not_there_is_told_of_within_the_time_to_connect() -> None:
    async with Client(f"127.0.0.1:{free_port()}", connect_timeout=0.3) as client:
        async with asyncio.timeout(5):
            with pytest.raises(NotConnectedError):
                await client.send("lobby", "ann", "hello")
            with pytest.raises(NotConnectedError):
                await anext(client.subscribe("lobby"))


async def test_a_server_that_starts_in_time_is_waited_for() -> None:
    server = ScriptedChatServer()
    await server.start()
    await server.stop()
    async with Client(server.address, connect_timeout=10) as client:
        sending = asyncio.create_task(client.send("lobby", "ann", "hello"))
        await server.start()
        assert (await sending).cursor.sequence == 1
    await server.stop()


@pytest.mark.parametrize(
    "code", [None, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED]
)
async def test_a_stream_that_breaks_goes_on_after_the_last_note(
    server: ScriptedChatServer, client: Client, code: grpc.StatusCode | None
) -> None:
    async with Reader(client, FROM_START) as reader:
        (_, last) = await server.write("lobby", "one", "two")
        await reader.has("one", "two")
        await server.cut(code)
        await server.write("lobby", "three")
        await reader.has("one", "two", "three")
    resumed = server.subscribe_requests[-1].subscriptions[0]
    assert resumed.after == note_pb2.Cursor(epoch=server.epoch, sequence=last.sequence)
    assert len(reader.losses) == 1
    assert reader.texts == ["one", "two", "three"]


async def test_a_server_that_dies_and_returns_is_found_again(
    server: ScriptedChatServer, client: Client
) -> None:
    async with Reader(client, "lobby") as reader:
        await reader.has_caught_up()
        await server.stop()
        await server.write("lobby", "while away")
        await eventually(lambda: len(reader.losses) >= 2, "attempts fail")
        await server.start()
        await reader.has("while away")
    assert isinstance(reader.losses[0], ServerUnavailableError)


async def test_streams_that_end_after_every_few_events_lose_and_repeat_nothing(
    server: ScriptedChatServer, client: Client
) -> None:
    written = [str(number) for number in range(20)]
    await server.write("lobby", *written)
    server.cut_after = 7
    server.repeats = 3
    async with Reader(client, FROM_START) as reader:
        await reader.has(*written)
    assert reader.texts == written
    assert len(server.subscribe_requests) >= 5


async def test_each_of_several_rooms_resumes_where_it_was(
    server: ScriptedChatServer, client: Client
) -> None:
    await server.write("lobby", "before")
    async with Reader(client, "lobby", "ops") as reader:
        await reader.has_caught_up(2)
        await server.write("ops", "o1")
        await reader.has("o1")
        await server.cut()
        await server.write("lobby", "l1")
        await server.write("ops", "o2")
        await eventually(lambda: len(reader.texts) == 3, "all three arrive")
    assert sorted(reader.texts) == ["l1", "o1", "o2"]


async def test_notes_that_retention_took_meanwhile_are_told_of(
    server: ScriptedChatServer, client: Client
) -> None:
    async with Reader(client, FROM_START) as reader:
        await server.write("lobby", "one")
        await reader.has("one")
        await server.stop()
        await server.write("lobby", "two", "three", "four")
        server.remove_oldest("lobby", 3)
        await server.start()
        await reader.has("one", "four")
    (broken,) = reader.breaks
    assert broken.reason == event_pb2.Discontinuity.REASON_RETENTION
    assert broken.resumes_at.sequence == 4


async def test_a_server_that_lost_the_log_is_read_from_its_start_after_a_break(
    server: ScriptedChatServer, client: Client
) -> None:
    async with Reader(client, "lobby") as reader:
        await reader.has_caught_up()
        await server.write("lobby", "one", "two")
        await reader.has("one", "two")
        lost_epoch = server.epoch
        await server.lose_log()
        await server.write("lobby", "new")
        await reader.has("one", "two", "new")
    (broken,) = reader.breaks
    assert broken.reason == event_pb2.Discontinuity.REASON_EPOCH
    assert (broken.after.epoch, broken.after.sequence) == (lost_epoch, 2)
    kinds = [event.WhichOneof("kind") for event in reader.events]
    assert kinds.index("discontinuity") < kinds.index("note", kinds.index("discontinuity"))


async def test_a_cursor_of_the_callers_own_that_is_unknown_is_refused(client: Client) -> None:
    start = chat_pb2.RoomSubscription(room="lobby", after=note_pb2.Cursor(epoch=5, sequence=5))
    with pytest.raises(RequestRefusedError) as caught:
        await anext(client.subscribe(start))
    assert caught.value.violations[0].field == "subscriptions[0].after"


async def test_a_server_that_is_unavailable_at_first_is_asked_again_within_the_timeout(
    server: ScriptedChatServer, client: Client
) -> None:
    server.subscribe_faults = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
    async with Reader(client, "lobby") as reader:
        await reader.has_caught_up()
    assert len(reader.losses) == 2


async def test_a_subscription_without_any_event_gives_up_when_the_timeout_is_over(
    server: ScriptedChatServer,
) -> None:
    server.subscribe_faults = [HistoryUnavailableError("no history")] * 10
    async with Client(server.address, timeout=1.5) as client:
        with pytest.raises(ServerUnavailableError, match="no history"):
            await anext(client.subscribe("lobby"))
    assert len(server.subscribe_requests) == 2


async def test_a_subscription_gives_up_when_its_patience_is_over(client: Client) -> None:
    async with aclosing(client.subscribe("lobby", patience=0.3)) as events:
        assert (await anext(events)).HasField("caught_up")
        with pytest.raises(NoAnswerError):
            await anext(events)


async def test_a_subscription_that_has_begun_bears_silence_beyond_the_timeout(
    server: ScriptedChatServer,
) -> None:
    async with (
        Client(server.address, timeout=0.3) as client,
        aclosing(client.subscribe("lobby")) as events,
    ):
        assert (await anext(events)).HasField("caught_up")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.9):
                await anext(events)
    assert len(server.subscribe_requests) == 1


async def test_a_server_that_fails_at_once_is_not_asked_for_ever(
    server: ScriptedChatServer, client: Client
) -> None:
    server.subscribe_faults = [grpc.StatusCode.INTERNAL]
    with pytest.raises(ServerFaultError):
        await anext(client.subscribe("lobby"))


async def test_leaving_a_subscription_ends_its_stream_on_the_server(
    server: ScriptedChatServer, client: Client
) -> None:
    async with aclosing(client.subscribe("lobby")) as events:
        await anext(events)
        assert server.open_streams == 1
    await eventually(lambda: server.open_streams == 0, "the stream has ended")


async def test_notes_are_gathered_over_pages_oldest_first(
    server: ScriptedChatServer, client: Client
) -> None:
    written = [str(number) for number in range(450)]
    await server.write("lobby", *written)
    assert [note.text for note in await client.newest_notes("lobby")] == written
    assert [note.text for note in await client.newest_notes("lobby", 250)] == written[-250:]
    before = note_pb2.Cursor(epoch=server.epoch, sequence=4)
    assert [n.text for n in await client.newest_notes("lobby", 2, before)] == ["1", "2"]
    assert await client.newest_notes("empty") == []


async def test_a_page_of_the_largest_notes_is_received(
    server: ScriptedChatServer, client: Client
) -> None:
    await server.write("lobby", *["x" * 16_384] * 500)
    page = await client.list_notes("lobby", page_size=500)
    assert len(page.notes) == 500


async def test_health_tells_serving_from_not_serving_and_refuses_unknown_names(
    server: ScriptedChatServer, client: Client
) -> None:
    assert await client.health("liveness") == "SERVING"
    assert await client.health() == "NOT_SERVING"
    server.health.report("scripted", holds=True)
    assert await client.health() == "SERVING"
    with pytest.raises(RequestRefusedError):
        await client.health("nobody")
