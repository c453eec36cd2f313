"""Rooms whose notes have all grown too old leave Redis, and nobody takes harm from it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager

import redis

from notecast.v1.chat_pb2 import ListNotesRequest, RoomSubscription
from notecast.v1.event_pb2 import Discontinuity, Event
from notecast.v1.note_pb2 import Cursor
from notecast_client.client import Client
from notecast_runtime.keyspace import (
    FLOOR_FIELD,
    PARTITIONS,
    heads_key,
    log_key,
    partition_of,
)
from tests.support.history_parts import (
    AGE_SECONDS,
    REMOVING,
    grow_old,
    is_forgotten,
    neighbour_of,
)
from tests.support.services import Gateway, from_start, running_gateway, running_history, texts
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


@contextmanager
def looking_into(valkey: ValkeyProcess) -> Iterator[redis.Redis]:
    with valkey.client() as store:
        yield store


@asynccontextmanager
async def forgetful(valkey: ValkeyProcess) -> AsyncIterator[Gateway]:
    async with (
        running_history(valkey.url, **REMOVING) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        yield gateway


def after(cursor: Cursor, room: str = "lobby") -> RoomSubscription:
    return RoomSubscription(room=room, after=cursor)


async def resumed(gateway: Gateway, cursor: Cursor) -> list[str]:
    """What is told to a client that resumes there, until it has caught up."""
    told: list[str] = []
    async with gateway.read(after(cursor)) as reader:
        while told[-1:] != ["caught_up"]:
            told += await reader.kinds(1)
    return told


async def caught_up(gateway: Gateway, room: str) -> Cursor:
    """The position of a client that joins the room now."""
    async with gateway.read(room) as reader:
        return (await reader.event()).caught_up.cursor


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


async def test_a_cursor_that_has_missed_a_note_is_told_once(valkey: ValkeyProcess) -> None:
    with looking_into(valkey) as store:
        async with forgetful(valkey) as gateway:
            first = (await gateway.send("lobby", "one")).cursor
            last = (await gateway.send("lobby", "two")).cursor
            await is_forgotten(store, "lobby")
            async with gateway.read(after(first)) as reader:
                event = await reader.event()
                assert event.discontinuity.after == first
                assert event.discontinuity.reason == Discontinuity.REASON_RETENTION
                caught_up = (await reader.event()).caught_up.cursor
                assert event.discontinuity.resumes_at.sequence == caught_up.sequence + 1
            for cursor in (last, caught_up):
                assert await resumed(gateway, cursor) == ["caught_up"]
            young = (await gateway.send("lobby", "three")).cursor
            assert young.sequence == caught_up.sequence + 1
            assert await resumed(gateway, first) == ["discontinuity", "three", "caught_up"]
            for cursor in (last, caught_up):
                assert await resumed(gateway, cursor) == ["three", "caught_up"]
            async with gateway.read(from_start("lobby")) as reader:
                assert await reader.kinds(2) == ["three", "caught_up"]
            page = await gateway.stub.ListNotes(ListNotesRequest(room="lobby"), timeout=10)
            assert texts(page.notes) == ["three"]


async def test_a_place_in_a_room_without_notes_stays_good_however_often_the_floor_rises(
    valkey: ValkeyProcess,
) -> None:
    """Other rooms of the partition are forgotten; before the room's first note, and after it."""
    other = neighbour_of("lobby")
    with looking_into(valkey) as store:
        async with forgetful(valkey) as gateway:
            places = [await caught_up(gateway, "lobby")]
            for _ in range(2):
                await gateway.send(other, "theirs")
                await is_forgotten(store, other)
                assert await resumed(gateway, places[0]) == ["caught_up"]
                places.append(await caught_up(gateway, "lobby"))
                assert places[-1].sequence > places[-2].sequence
            await gateway.send("lobby", "one")
            await eventually(lambda: store.exists(log_key("lobby")), "the note is persisted")
            for place in places:
                assert await resumed(gateway, place) == ["one", "caught_up"]
            await is_forgotten(store, "lobby")
            for place in places:
                assert await resumed(gateway, place) == ["discontinuity", "caught_up"]


async def test_whoever_resumes_after_a_note_that_the_room_had_since_is_told_of_it(
    valkey: ValkeyProcess,
) -> None:
    """Also where the room had others before, and was forgotten twice."""
    with looking_into(valkey) as store:
        async with forgetful(valkey) as gateway:
            last = (await gateway.send("lobby", "one")).cursor
            await is_forgotten(store, "lobby")
            await gateway.send("lobby", "two")
            await is_forgotten(store, "lobby")
            assert await resumed(gateway, last) == ["discontinuity", "caught_up"]
            await gateway.send("lobby", "three")
            assert await resumed(gateway, last) == ["discontinuity", "three", "caught_up"]


async def test_a_cursor_of_an_epoch_whose_end_nobody_knows_any_more_is_told(
    valkey: ValkeyProcess,
) -> None:
    """What the room may have lost then was forgotten with it."""
    with looking_into(valkey) as store:
        async with forgetful(valkey) as gateway:
            cursor = (await gateway.send("lobby", "one")).cursor
            await eventually(lambda: store.exists(log_key("lobby")), "the note is persisted")
        valkey.kill()
        valkey.start()
        async with forgetful(valkey) as gateway:
            assert await resumed(gateway, cursor) == ["caught_up"]
            await is_forgotten(store, "lobby")
            assert (await resumed(gateway, cursor))[0] == "discontinuity"


async def test_a_client_that_reads_from_the_start_hears_each_note_once_and_of_no_break(
    valkey: ValkeyProcess,
) -> None:
    """Its streams end again and again, while the floor rises and its room is forgotten."""
    other, heard = neighbour_of("lobby"), Heard()
    with looking_into(valkey) as store:
        async with (
            running_history(valkey.url, **REMOVING) as history,
            running_gateway(valkey.url, history, stream_lifetime_seconds=0.2) as gateway,
            Client(gateway.target) as client,
            heard.reading(client.subscribe(from_start("lobby"))),
        ):
            for text in ("one", "two"):
                for room in (other, "lobby"):
                    await gateway.send(room, text)
                    await is_forgotten(store, room)
                    await heard.another_stream()
            await gateway.send("lobby", "three")
            await eventually(lambda: "three" in heard.kinds, "the last note has come")
    assert [kind for kind in heard.kinds if kind != "caught_up"] == ["one", "two", "three"]


class Heard:
    """What a subscription of the library tells: texts of notes, and names of other kinds."""

    def __init__(self) -> None:
        self.kinds: list[str] = []

    @asynccontextmanager
    async def reading(self, subscription: AsyncGenerator[Event]) -> AsyncIterator[None]:
        """Reads meanwhile."""
        task = asyncio.create_task(self._read(subscription))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _read(self, subscription: AsyncGenerator[Event]) -> None:
        async with aclosing(subscription) as events:
            async for event in events:
                is_note = event.HasField("note")
                self.kinds.append(event.note.text if is_note else event.WhichOneof("kind") or "")

    async def another_stream(self) -> None:
        """Waits until one has begun, and caught up, from now on: the next but one."""
        wanted = self.kinds.count("caught_up") + 2
        await eventually(lambda: self.kinds.count("caught_up") >= wanted, "it resumes")


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
