"""What a gateway holds is bounded by its settings, and let go of when nobody needs it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio

from chat_gateway.log.ring import Ring
from chat_gateway.log.ring_budget import RingBudget
from chat_gateway.rooms.hub import Hub
from chat_gateway.rooms.room import Room
from chat_gateway.store.live_feed_redis import RedisLiveFeed
from chat_gateway.streams.room_cursor import RoomCursor
from chat_gateway.streams.streams import Streams
from chat_gateway.streams.subscription import Subscription
from chat_gateway.transport.outlet_grpcio import GrpcioOutlet
from notecast.v1.chat_pb2 import RoomSubscription
from notecast_runtime.keyspace import live_channel
from notecast_wire import StreamOutlet
from tests.support.census import living, resident_bytes, the, told
from tests.support.health import health_of, wait_until_serving
from tests.support.services import Gateway, from_start, running_gateway, running_history, texts
from tests.support.statuses import detail_of, reason_of, retry_delay_ms
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually
from tutorial.chat_pb2 import Empty
from tutorial.chat_pb2_grpc import ChatServerStub

UNDIVIDED: dict[str, Any] = {"client_share": 1, "connection_share": 1}
MEBIBYTE = 1_048_576
OF_STREAMS = (Room, Ring, RoomCursor, Subscription, GrpcioOutlet, StreamOutlet)


async def refusal(gateway: Gateway, *rooms: RoomSubscription | str) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as refused:
        await gateway.read(*rooms).event()
    return refused.value


def assert_refused_by_a_bound(error: aio.AioRpcError, reason: str, limit: int) -> None:
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(error) == reason
    assert retry_delay_ms(error) > 0
    assert dict(detail_of(error, error_details_pb2.ErrorInfo).metadata) == {
        "limit": str(limit),
        "scope": "total",
    }


async def test_no_more_streams_are_open_than_allowed_and_health_is_answered_all_the_same(
    valkey: ValkeyProcess,
) -> None:
    """The bound on streams does not count health checks."""
    async with (
        running_gateway(valkey.url, max_streams=2, **UNDIVIDED) as gateway,
        gateway.read("lobby") as stays,
    ):
        async with gateway.read("den"):
            assert_refused_by_a_bound(await refusal(gateway, "lobby"), "TOO_MANY_STREAMS", 2)
            with pytest.raises(aio.AioRpcError) as refused:
                await ChatServerStub(gateway.channel).ChatStream(Empty()).read()
            assert_refused_by_a_bound(refused.value, "TOO_MANY_STREAMS", 2)
            for name in ("", "liveness", "readiness"):
                assert await health_of(gateway.target, name) == "SERVING"
            await gateway.send("lobby", "still taken")
            assert texts(await stays.notes(1)) == ["still taken"]
        await eventually(lambda: len(the(Streams)) == 1, "the stream that left gave its place back")
        async with gateway.read("lobby") as next_one:
            assert await next_one.kinds(1) == ["caught_up"]


async def test_no_more_rooms_are_open_than_allowed_and_open_ones_can_still_be_joined(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url, max_open_rooms=2, **UNDIVIDED) as gateway:
        async with gateway.read("red", "blue"):
            assert_refused_by_a_bound(await refusal(gateway, "green"), "TOO_MANY_ROOMS", 2)
            assert_refused_by_a_bound(await refusal(gateway, "red", "green"), "TOO_MANY_ROOMS", 2)
            async with gateway.read("blue") as another:
                await gateway.send("blue", "hello")
                await gateway.send("green", "whoever is not read here takes no place")
                assert texts(await another.notes(1)) == ["hello"]
        await eventually(lambda: not the(Hub).open_rooms(), "the rooms are left")
        async with gateway.read("green") as reader:
            assert await reader.kinds(1) == ["caught_up"]


async def test_all_rooms_together_keep_no_more_notes_in_memory_than_allowed(
    valkey: ValkeyProcess,
) -> None:
    rooms = [f"room {number}" for number in range(20)]
    text = "x" * 5_000
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history, rings_bytes=100_000) as gateway,
    ):
        async with gateway.read(*rooms) as reader:
            for number in range(10):
                for room in rooms:
                    await gateway.send(room, f"{number} {text}")
                places = [(note.room, note.sequence) for note in await reader.notes(len(rooms))]
                assert sorted(places) == sorted((room, number + 1) for room in rooms)
                held = sum(ring.size_bytes for ring in living(Ring))
                assert 80_000 < held <= the(RingBudget).size_bytes <= 100_000
            for room in rooms:  # most of it is in no ring any more
                async with gateway.read(from_start(room)) as late:
                    assert [note.sequence for note in await late.notes(10)] == [*range(1, 11)]
                assert the(RingBudget).size_bytes <= 100_000
        await eventually(lambda: not the(Hub).open_rooms(), "the rooms are left")
        assert (the(RingBudget).size_bytes, len(the(RingBudget))) == (0, 0)


def tasks_of_ours() -> int:
    """Tasks that a room or a stream may have left behind, beside those of this test."""
    return sum(
        "chat_gateway" in str(task.get_coro()) or "rpc_task" in task.get_name()
        for task in asyncio.all_tasks()
    )


async def leave_nothing(rooms: Sequence[str], tasks_before: int) -> None:
    """Waits until nothing is left of streams and rooms, wherever something was of them."""
    channels = {live_channel(room) for room in rooms}
    feed, hub, streams = the(RedisLiveFeed), the(Hub), the(Streams)
    await eventually(lambda: not hub.open_rooms(), "no room is open")
    assert not hub._entries
    for kept in (feed._wanted, feed._waiting):
        assert not channels & set(kept)

    def forgotten() -> bool:
        return not any(
            channels & set(kept) for kept in (feed._requested, feed._unconfirmed, feed._confirmed)
        )

    await eventually(forgotten, "no room is heard")
    await eventually(lambda: len(streams) == 0, "no stream has a place")
    await eventually(lambda: tasks_of_ours() <= tasks_before, "no task is under way")
    await eventually(
        lambda: not any(living(kind) for kind in OF_STREAMS),
        lambda: f"no object of a stream or room lives, but {told(OF_STREAMS)}",
    )


async def test_a_thousand_rooms_that_emptied_leave_nothing_and_are_heard_again(
    valkey: ValkeyProcess,
) -> None:
    """Rooms are freed with their last reader, and the live feed outlives the last room."""
    rooms = [f"room {number}" for number in range(1_000)]
    async with (
        running_history(valkey.url) as history,
        running_gateway(
            valkey.url, history, max_rooms_per_stream=250, redis_timeout_seconds=10
        ) as gateway,
    ):
        tasks_before = tasks_of_ours()
        for room in rooms[::100]:
            await gateway.send(room, "before")
        for text in ("first", "again"):
            parts = [rooms[begin::4] for begin in range(4)]
            readers = [gateway.read(*map(from_start, part)) for part in parts]
            await asyncio.gather(*(reader.__aenter__() for reader in readers))
            assert len(the(Hub).open_rooms()) == len(rooms)
            for part, reader in zip(parts, readers, strict=True):
                await gateway.send(part[-1], text)
                while (await reader.notes(1))[0].text != text:
                    pass
            for reader in readers:
                reader.call.cancel()
            await leave_nothing(rooms, tasks_before)
        await wait_until_serving(gateway.target)


async def open_and_cancel(gateway: Gateway, count: int) -> None:
    """Streams that are cancelled at any moment of their life, a hundred at a time."""

    async def one(number: int) -> None:
        reader = gateway.read(f"room {number % 10}")
        if number % 3:
            await reader.call.initial_metadata()
        if number % 3 == 1:
            await reader.event()
        reader.call.cancel()

    for begin in range(0, count, 100):
        await asyncio.gather(*(one(number) for number in range(begin, begin + 100)))


@pytest.mark.parametrize(
    "count", [2_000, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
async def test_thousands_of_cancelled_streams_give_back_what_they_took(
    count: int, valkey: ValkeyProcess
) -> None:
    """A cancelled stream leaves no task and no memory."""
    async with running_gateway(valkey.url, redis_timeout_seconds=10) as gateway:
        tasks_before = tasks_of_ours()
        await open_and_cancel(gateway, 1_000)  # caches and pools have their size from now on
        await leave_nothing([], tasks_before)
        before = resident_bytes()
        await open_and_cancel(gateway, count)
        await leave_nothing([], tasks_before)
        assert resident_bytes() - before < 16 * MEBIBYTE  # of 20,000: less than 1 KiB each
        async with gateway.read("room 1") as reader:
            await gateway.send("room 1", "on again")
            assert texts(await reader.notes(1)) == ["on again"]
