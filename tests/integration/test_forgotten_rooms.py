"""Rooms whose notes have all grown too old leave Redis, and nobody takes harm from it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import redis

from notecast.v1.chat_pb2 import ListNotesRequest, RoomSubscription
from notecast.v1.event_pb2 import Discontinuity
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    PARTITIONS,
    ages_key,
    heads_key,
    log_key,
    partition_of,
)
from tests.support.history_parts import grow_old
from tests.support.services import Gateway, from_start, running_gateway, running_history, texts
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

AGE_SECONDS = 1_000
REMOVING = {
    "retention_seconds": AGE_SECONDS,
    "retention_sweep_seconds": 0.3,
    "outbox_trim_margin_seconds": 0,
}


@contextmanager
def looking_into(valkey: ValkeyProcess) -> Iterator[redis.Redis]:
    with valkey.client() as store:
        yield store


async def is_forgotten(store: redis.Redis, room: str) -> None:
    """Lets the room's notes grow too old, once they are persisted and a sweep has seen them."""
    partition = partition_of(room)
    await eventually(
        lambda: store.exists(log_key(room)) and store.llen(ages_key(partition)), "a sweep was here"
    )

    def left() -> bool:
        grow_old(store, partition, AGE_SECONDS)
        return not store.hexists(heads_key(partition), room)

    await eventually(left, f"{room} is forgotten")
    assert not store.exists(log_key(room))


@asynccontextmanager
async def forgetful(valkey: ValkeyProcess) -> AsyncIterator[Gateway]:
    async with (
        running_history(valkey.url, **REMOVING) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        yield gateway


def after(cursor: Cursor, room: str = "lobby") -> RoomSubscription:
    return RoomSubscription(room=room, after=cursor)


async def test_a_stream_that_is_open_hears_of_nothing_and_goes_on(valkey: ValkeyProcess) -> None:
    with looking_into(valkey) as store:
        async with forgetful(valkey) as gateway, gateway.read("lobby") as reader:
            assert await reader.kinds(1) == ["caught_up"]
            first = (await gateway.send("lobby", "one")).cursor
            assert await reader.kinds(1) == ["one"]
            await is_forgotten(store, "lobby")
            second = (await gateway.send("lobby", "two")).cursor
            assert (second.epoch, await reader.kinds(1)) == (first.epoch, ["two"])
            assert second.sequence > first.sequence + 1
            assert (await gateway.send("lobby", "three")).cursor.sequence == second.sequence + 1
            assert await reader.kinds(1) == ["three"]


async def test_live_chat_in_such_a_room_needs_no_history(valkey: ValkeyProcess) -> None:
    with looking_into(valkey) as store:
        async with running_gateway(valkey.url) as gateway, gateway.read("lobby") as reader:
            async with running_history(valkey.url, **REMOVING):
                await gateway.send("lobby", "one")
                assert await reader.kinds(2) == ["caught_up", "one"]
                await is_forgotten(store, "lobby")
            await gateway.send("lobby", "two")
            assert await reader.kinds(1) == ["two"]


async def test_however_far_the_floor_has_risen_open_streams_hear_the_next_note_alone(
    valkey: ValkeyProcess,
) -> None:
    """By more than the ring holds, as where another room of the partition had many notes."""
    with looking_into(valkey) as store:
        async with running_gateway(valkey.url) as gateway, gateway.read("lobby") as reader:
            assert await reader.kinds(1) == ["caught_up"]
            store.hset(heads_key(partition_of("lobby")), FLOOR_FIELD, 100_000)
            for text in ("one", "two"):
                await gateway.send("lobby", text)
                assert await reader.kinds(1) == [text]


async def test_a_cursor_of_before_is_told_once_that_notes_are_gone(valkey: ValkeyProcess) -> None:
    with looking_into(valkey) as store:
        async with forgetful(valkey) as gateway:
            first = (await gateway.send("lobby", "one")).cursor
            last = (await gateway.send("lobby", "two")).cursor
            await is_forgotten(store, "lobby")
            for cursor in (first, last):
                async with gateway.read(after(cursor)) as reader:
                    event = await reader.event()
                    assert event.discontinuity.after == cursor
                    assert event.discontinuity.reason == Discontinuity.REASON_RETENTION
                    caught_up = (await reader.event()).caught_up.cursor
                    assert event.discontinuity.resumes_at.sequence == caught_up.sequence + 1
            async with gateway.read(after(caught_up)) as reader:
                assert await reader.kinds(1) == ["caught_up"], "and then no more"
            young = (await gateway.send("lobby", "three")).cursor
            assert young.sequence == caught_up.sequence + 1
            async with gateway.read(after(last)) as reader:
                assert await reader.kinds(3) == ["discontinuity", "three", "caught_up"]
            async with gateway.read(from_start("lobby")) as reader:
                assert await reader.kinds(2) == ["three", "caught_up"]
            page = await gateway.stub.ListNotes(ListNotesRequest(room="lobby"), timeout=10)
            assert texts(page.notes) == ["three"]


async def test_a_room_that_others_hold_open_is_joined_as_any_other(valkey: ValkeyProcess) -> None:
    with looking_into(valkey) as store:
        async with forgetful(valkey) as gateway, gateway.read("lobby") as open_since_before:
            first = (await gateway.send("lobby", "one")).cursor
            last = (await gateway.send("lobby", "two")).cursor
            await is_forgotten(store, "lobby")
            for start in (from_start("lobby"), after(first), after(last), "lobby"):
                async with gateway.read(start) as reader:
                    while not (event := await reader.event()).HasField("caught_up"):
                        assert event.WhichOneof("kind") in {"note", "discontinuity"}
                assert event.caught_up.cursor.sequence == last.sequence + 1
            await gateway.send("lobby", "three")
            assert await open_since_before.kinds(4) == ["caught_up", "one", "two", "three"]


async def test_a_cursor_of_an_empty_room_outlives_a_restart_of_redis(valkey: ValkeyProcess) -> None:
    with looking_into(valkey) as store:
        async with forgetful(valkey) as gateway:
            await gateway.send("lobby", "one")
            await is_forgotten(store, "lobby")
            async with gateway.read(from_start("lobby")) as reader:
                place = (await reader.event()).caught_up.cursor
        valkey.kill()
        valkey.start()
        async with forgetful(valkey) as gateway, gateway.read(after(place)) as reader:
            assert await reader.kinds(1) == ["caught_up"]
            await gateway.send("lobby", "two")
            assert await reader.kinds(1) == ["two"]


async def test_rooms_without_a_note_cost_redis_nothing_also_after_restarts(
    valkey: ValkeyProcess,
) -> None:
    names = [f"{number:04d}" + "r" * 100 for number in range(2_000)]
    partitions = range(PARTITIONS)
    with looking_into(valkey) as store:
        async with forgetful(valkey) as gateway:
            await gateway.send("warm", "up")
            before = used_memory(store)
            for start in range(0, len(names), 200):
                await asyncio.gather(*(gateway.send(n, "t") for n in names[start : start + 200]))
            assert used_memory(store) - before > 500 * len(names)
            valkey.kill()
            valkey.start()
            await eventually(lambda: answers(store), "Redis is back")
            await eventually(lambda: len(streams(store)) == len(names) + 1, "all is persisted")

            def left() -> bool:
                for partition in partitions:
                    grow_old(store, partition, AGE_SECONDS)
                return not streams(store)

            await eventually(left, "all are forgotten", 20)
            fields = {f for p in partitions for f in store.hkeys(heads_key(p))}
            assert fields == {FLOOR_FIELD.encode()}
            ended = list(store.scan_iter("nc:{*}:end:*"))
            assert {f for key in ended for f in store.hkeys(key)} <= {FLOOR_FIELD.encode()}
    valkey.kill()
    valkey.start()
    with looking_into(valkey) as store:
        assert used_memory(store) - before < 50 * len(names)


def streams(store: redis.Redis) -> list[bytes]:
    return list(store.scan_iter("nc:{*}:log:*", count=1_000))


def answers(store: redis.Redis) -> bool:
    try:
        return bool(store.ping())
    except redis.exceptions.ConnectionError:
        return False


def used_memory(store: redis.Redis) -> int:
    facts = store.info("memory")
    return int(facts["used_memory"])
