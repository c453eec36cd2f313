"""A gateway that is told to end: nobody is cut off, and nothing fails that could go elsewhere."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any, NamedTuple

import grpc
import pytest
from grpc import aio

from chat_gateway.api.handlers import SERVICES
from notecast.v1.chat_pb2 import (
    RoomSubscription,
    SendNoteRequest,
    SubscribeRequest,
    SubscribeResponse,
)
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from notecast.v1.event_pb2 import Event
from notecast_client.client import Client
from tests.support.gateway_process import started_gateway
from tests.support.health import health_of, wait_for_health
from tests.support.services import Gateway, from_start, running_gateway, running_history
from tests.support.statuses import reason_of
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually
from tutorial.chat_pb2 import Empty
from tutorial.chat_pb2_grpc import ChatServerStub

LONG: dict[str, Any] = {
    "shutdown_grace_seconds": 60,
    "drain_notice_seconds": 50,
    "drain_spread_seconds": 0,
}
"""All is served for as long as a test may take."""

END_SECONDS = 20.0


async def ended(process: Process) -> int:
    async with asyncio.timeout(END_SECONDS):
        return await process.wait()


class Farewell(NamedTuple):
    """How a stream ended."""

    at: float
    event: Event
    """The last one."""
    code: grpc.StatusCode


async def farewell(call: aio.UnaryStreamCall[SubscribeRequest, SubscribeResponse]) -> Farewell:
    """Reads a stream to its end."""
    last, at = Event(), 0.0
    async with asyncio.timeout(END_SECONDS):
        while isinstance(response := await call.read(), SubscribeResponse):
            last, at = response.events[-1], asyncio.get_running_loop().time()
        return Farewell(at, last, await call.code())


def subscribe(
    channel: aio.Channel, *rooms: RoomSubscription
) -> "aio.UnaryStreamCall[SubscribeRequest, SubscribeResponse]":
    return ChatServiceStub(channel).Subscribe(SubscribeRequest(subscriptions=rooms))


async def notes_of_the_tutorial(channel: aio.Channel) -> AsyncGenerator[str]:
    """What its client is told."""
    call = ChatServerStub(channel).ChatStream(Empty())
    async for note in call:
        yield note.message


async def test_readiness_turns_first_while_all_is_still_served(valkey: ValkeyProcess) -> None:
    async with (
        started_gateway(valkey.url, **LONG) as (process, gateway),
        gateway.read("lobby") as reader,
    ):
        process.terminate()
        for service in ("readiness", "", *SERVICES):
            await wait_for_health(gateway.target, "NOT_SERVING", service)
        assert await health_of(gateway.target, "liveness") == "SERVING"
        async with (
            aio.insecure_channel(gateway.target) as channel,
            Gateway(gateway.target, channel).read("lobby") as late,
        ):
            await gateway.send("lobby", "still here")
            for each in (reader, late):
                assert (await each.notes(1))[0].text == "still here"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_at_once(
    valkey: ValkeyProcess, number: signal.Signals
) -> None:
    async with started_gateway(valkey.url, **LONG) as (process, gateway):
        process.terminate()
        await wait_for_health(gateway.target, "NOT_SERVING")
        process.send_signal(number)
        assert await ended(process) == 128 + number


async def test_500_streams_are_sent_away_one_after_the_other_and_the_process_ends_in_time(
    valkey: ValkeyProcess,
) -> None:
    """A server that stops sends its streams away first."""
    streams, connections, spread_seconds = 500, 5, 2.0
    times: dict[str, Any] = {"drain_notice_seconds": 0.2, "drain_spread_seconds": spread_seconds}
    async with (
        started_gateway(valkey.url, shutdown_grace_seconds=10, **times) as (process, gateway),
        AsyncExitStack() as stack,
    ):
        place = (await gateway.send("lobby", "hello")).cursor
        channels = [
            await stack.enter_async_context(
                aio.insecure_channel(gateway.target, [("grpc.use_local_subchannel_pool", 1)])
            )
            for _ in range(connections)
        ]
        wanted = RoomSubscription(room="lobby")
        calls = [subscribe(channels[n % connections], wanted) for n in range(streams)]
        await asyncio.gather(*(call.initial_metadata() for call in calls))
        process.terminate()
        ends = await asyncio.gather(*(farewell(call) for call in calls))
        assert await ended(process) == 0
    assert {end.code for end in ends} == {grpc.StatusCode.OK}
    told = [end.event.reconnect for end in ends]
    assert {(each.places[0].room, each.places[0].cursor.sequence) for each in told} == {
        ("lobby", 1)
    }
    assert {each.places[0].cursor.epoch for each in told} == {place.epoch}
    assert max(each.after_ms for each in told) <= 500
    assert len({each.after_ms for each in told}) > 100
    moments = sorted(end.at for end in ends)
    assert moments[-1] - moments[0] > spread_seconds / 2
    # No quarter of the streams goes all at once.
    for quarter in range(4):
        first, last = moments[quarter * 125], moments[quarter * 125 + 124]
        assert last - first > spread_seconds / 20


async def test_clients_resume_elsewhere_without_loss_or_repetition_and_are_not_told(
    valkey: ValkeyProcess,
) -> None:
    readers, notes = 30, 200
    heard: list[list[str]] = [[] for _ in range(readers)]
    losses: list[object] = []

    async def read(client: Client, texts: list[str]) -> None:
        start = RoomSubscription(room="lobby", from_start=True)
        events = client.subscribe(start, on_lost=lambda *lost: losses.append(lost))
        async with aclosing(events):
            async for event in events:
                texts += [event.note.text] if event.HasField("note") else []

    written = [str(number) for number in range(notes)]
    times: dict[str, Any] = {
        "drain_notice_seconds": 0.2,
        "drain_spread_seconds": 1,
        "shutdown_grace_seconds": 8,
    }
    async with (
        running_history(valkey.url) as history,
        started_gateway(valkey.url, history, **times) as (process, first),
        running_gateway(valkey.url, history) as second,
        Client(f"ipv4:{first.target},{second.target}") as client,
    ):
        reading = [asyncio.create_task(read(client, texts)) for texts in heard]
        for number, text in enumerate(written):
            await second.send("lobby", text)
            if number == 20:
                await eventually(lambda: all(heard), "all read")
                process.terminate()
            if number > 20:
                await asyncio.sleep(0.01)  # so that the notes come all along the drain
        assert await ended(process) == 0
        await eventually(lambda: all(len(each) >= notes for each in heard), "all have all")
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    assert heard == [written] * readers
    assert not losses


class Senders:
    """Many who send one note after the other, by way of one gateway until it ends, then of another.

    Args:
        process: the first gateway.
        valkey: where the notes are counted.
    """

    def __init__(self, process: Process, valkey: ValkeyProcess) -> None:
        self._process = process
        self._valkey = valkey
        self._sent = 0
        self._going_on = True

    async def send_amid_the_drain(self, send: Callable[[str], Awaitable[object]]) -> None:
        """Fails where a send does, or made no note or two."""
        tasks = [asyncio.create_task(self._go_on(send, f"room {n}")) for n in range(16)]
        try:
            await eventually(lambda: self._sent > 200, "the first gateway is busy")
            self._process.terminate()
            assert await ended(self._process) == 0
            before = self._sent
            await eventually(lambda: self._sent > before + 200, "the second has taken over")
        finally:
            self._going_on = False
            await asyncio.gather(*tasks)
        with self._valkey.client() as redis:
            heads: Any = [redis.hvals(key) for key in redis.keys("*:head")]
        assert sum(int(head) for partition in heads for head in partition) == self._sent

    async def _go_on(self, send: Callable[[str], Awaitable[object]], room: str) -> None:
        while self._going_on:
            await send(room)
            self._sent += 1


SOON: dict[str, Any] = {
    "drain_notice_seconds": 0.3,
    "drain_spread_seconds": 0.3,
    "shutdown_grace_seconds": 8,
}


async def test_no_send_fails_amid_the_drain(valkey: ValkeyProcess) -> None:
    async with (
        started_gateway(valkey.url, **SOON) as (process, first),
        running_gateway(valkey.url) as second,
        Client(f"ipv4:{first.target},{second.target}") as client,
    ):
        await Senders(process, valkey).send_amid_the_drain(lambda room: client.send(room, "a", "x"))


async def test_a_standard_client_tries_elsewhere_by_itself_what_comes_too_late(
    valkey: ValkeyProcess,
) -> None:
    """A GOAWAY neither cuts calls in flight nor loses those that cross it."""
    async with (
        started_gateway(valkey.url, **SOON) as (process, first),
        running_gateway(valkey.url) as second,
        aio.insecure_channel(f"ipv4:{first.target},{second.target}") as channel,
    ):
        stub = ChatServiceStub(channel)

        async def send(room: str) -> None:
            await stub.SendNote(SendNoteRequest(room=room, author="ann", text="x"), timeout=20)

        await Senders(process, valkey).send_amid_the_drain(send)


async def test_a_stream_that_waits_for_its_replay_is_sent_away_with_the_place_it_has_reached(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as second,
    ):
        for number in range(1, 6):
            await second.send("lobby", f"n{number}")
        # Its history is down, so that the replay waits.
        async with running_gateway(valkey.url, drain_spread_seconds=0.1) as first:
            channel = aio.insecure_channel(first.target)
            call = subscribe(channel, RoomSubscription(room="lobby", last=3))
            await call.initial_metadata()
        end = await farewell(call)
        await channel.close()
        assert end.code is grpc.StatusCode.OK
        (place,) = end.event.reconnect.places
        assert place.cursor.sequence == 2
        resumed = RoomSubscription(room="lobby", after=place.cursor)
        async with second.read(resumed) as reader:
            assert await reader.kinds(4) == ["n3", "n4", "n5", "caught_up"]


async def test_a_client_of_the_tutorial_stays_as_long_as_there_is_time(
    valkey: ValkeyProcess,
) -> None:
    times: dict[str, Any] = {
        "drain_notice_seconds": 0.1,
        "drain_spread_seconds": 0.1,
        "shutdown_grace_seconds": 4,
    }
    async with (
        running_history(valkey.url) as history,
        started_gateway(valkey.url, history, **times) as (process, gateway),
        running_gateway(valkey.url, history) as second,
        aio.insecure_channel(gateway.target) as channel,
        aio.insecure_channel(gateway.target) as another,
    ):
        stays = notes_of_the_tutorial(another)
        await second.send("lobby", "hello")
        assert await anext(stays) == "hello"
        other = subscribe(channel, RoomSubscription(room="lobby"))
        await other.initial_metadata()
        process.terminate()
        assert (await farewell(other)).code is grpc.StatusCode.OK
        await second.send("lobby", "after the others have left")
        async with asyncio.timeout(END_SECONDS):
            assert await anext(stays) == "after the others have left"
            with pytest.raises(aio.AioRpcError) as error:
                await anext(stays)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(error.value) == "SHUTTING_DOWN"
        assert await ended(process) == 0


async def test_a_stream_has_a_lifetime_and_a_stream_of_the_tutorial_has_none(
    valkey: ValkeyProcess,
) -> None:
    """Streams do not stay on old replicas after a scale-up."""
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history, stream_lifetime_seconds=1) as gateway,
        aio.insecure_channel(gateway.target) as channel,
    ):
        stays = notes_of_the_tutorial(channel)
        first = asyncio.create_task(anext(stays))
        for _ in range(3):
            end = await farewell(subscribe(channel, from_start("lobby")))
            assert end.code is grpc.StatusCode.OK
            assert end.event.HasField("reconnect")
        await gateway.send("lobby", "still there")
        async with asyncio.timeout(END_SECONDS), aclosing(stays):
            assert await first == "still there"


async def test_a_client_lives_through_lifetimes_without_noticing(valkey: ValkeyProcess) -> None:
    texts: list[str] = []
    losses: list[object] = []
    streams = 0

    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history, stream_lifetime_seconds=0.2) as gateway,
        Client(gateway.target) as client,
        asyncio.timeout(END_SECONDS),
    ):
        events = client.subscribe("lobby", on_lost=lambda *lost: losses.append(lost))
        written = 0
        async with aclosing(events):
            async for event in events:
                if event.HasField("caught_up"):
                    streams += 1
                    written += 1
                    await gateway.send("lobby", str(written))
                elif event.HasField("note"):
                    texts.append(event.note.text)
                if streams >= 5 and len(texts) >= written:
                    break
    assert texts == [str(number) for number in range(1, written + 1)]
    assert not losses
