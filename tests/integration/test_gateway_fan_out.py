"""Notes from any gateway to the streams of every gateway: all, in order, once."""

import asyncio

from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.note_pb2 import Cursor
from tests.support.services import (
    Gateway,
    behind,
    from_start,
    running_gateway,
    running_history,
    texts,
)
from tests.support.valkey import ValkeyProcess


async def test_a_note_reaches_the_streams_of_every_gateway_once(valkey: ValkeyProcess) -> None:
    async with (
        running_gateway(valkey.url) as one,
        running_gateway(valkey.url) as other,
        one.read("lobby") as here,
        other.read("lobby") as there,
    ):
        sent = await one.send("lobby", "hello", author="ann")
        for reader in (here, there):
            assert await reader.kinds(2) == ["caught_up", "hello"]
        await other.send("lobby", "again", author="bob")
        for reader in (here, there):
            (note,) = await reader.notes(1)
            assert (note.room, note.author, note.text) == ("lobby", "bob", "again")
            assert (note.epoch, note.sequence) == (sent.cursor.epoch, sent.cursor.sequence + 1)


async def test_forty_streams_on_two_gateways_have_a_thousand_notes_in_order_once(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_gateway(valkey.url) as one,
        running_gateway(valkey.url) as other,
    ):
        readers = [gateway.read("busy") for gateway in (one, other) for _ in range(20)]
        await asyncio.gather(*(reader.__aenter__() for reader in readers))
        reading = [asyncio.create_task(reader.notes(1_000)) for reader in readers]
        sent = await asyncio.gather(_send_many(one, "a", 500), _send_many(other, "b", 500))
        acknowledged = {place: text for part in sent for place, text in part.items()}
        for notes in await asyncio.gather(*reading):
            assert [note.sequence for note in notes] == [*range(1, 1_001)]
            assert {note.sequence: note.text for note in notes} == acknowledged
        for reader in readers:
            reader.call.cancel()


async def _send_many(gateway: Gateway, name: str, count: int) -> dict[int, str]:
    """Sends notes, ten at a time; gives the text by the sequence acknowledged for it."""
    places: dict[int, str] = {}

    async def send(numbers: range) -> None:
        for number in numbers:
            text = f"{name}{number}"
            places[(await gateway.send("busy", text, deadline_seconds=30)).cursor.sequence] = text

    await asyncio.gather(*(send(range(begin, count, 10)) for begin in range(10)))
    return places


async def test_whoever_joins_while_notes_are_sent_misses_none(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as one,
        running_gateway(valkey.url, history) as other,
    ):
        sending = asyncio.create_task(_send_many(one, "n", 400))

        async def join() -> None:
            async with other.read(from_start("busy")) as reader:
                assert [n.sequence for n in await reader.notes(400)] == [*range(1, 401)]

        joining: list[asyncio.Task[None]] = []
        while not sending.done() and len(joining) < 20:  # each makes the notes come more slowly
            joining.append(asyncio.create_task(join()))
            await asyncio.wait({sending}, timeout=0.05)
        await asyncio.gather(sending, *joining)
        assert len(joining) > 1


async def test_every_way_to_begin_delivers_what_it_says(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        for number in range(1, 6):
            last = await gateway.send("lobby", f"n{number}")
        epoch = last.cursor.epoch
        starts = {
            "start": (from_start("lobby"), ["n1", "n2", "n3", "n4", "n5", "caught_up"]),
            "last": (RoomSubscription(room="lobby", last=2), ["n4", "n5", "caught_up"]),
            "more than all": (
                RoomSubscription(room="lobby", last=100),
                ["n1", "n2", "n3", "n4", "n5", "caught_up"],
            ),
            "cursor": (
                RoomSubscription(room="lobby", after=Cursor(epoch=epoch, sequence=3)),
                ["n4", "n5", "caught_up"],
            ),
            "newest": (RoomSubscription(room="lobby", after=last.cursor), ["caught_up"]),
            "now": (RoomSubscription(room="lobby"), ["caught_up"]),
        }
        for wanted, expected in starts.values():
            async with gateway.read(wanted) as reader:
                assert await reader.kinds(len(expected)) == expected


async def test_after_any_start_the_stream_goes_on_live(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        await gateway.send("lobby", "before")
        async with gateway.read(from_start("lobby")) as early, gateway.read("lobby") as late:
            assert await early.kinds(2) == ["before", "caught_up"]
            await gateway.send("lobby", "after")
            assert await early.kinds(1) == ["after"]
            assert await late.kinds(2) == ["caught_up", "after"]


async def test_one_stream_carries_several_rooms_each_in_order_and_no_other(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        for number in range(50):
            await gateway.send("red", f"red{number}")
        async with gateway.read(from_start("red"), "blue") as reader:
            await gateway.send("green", "unseen")
            for number in range(50):
                await gateway.send("blue", f"blue{number}")
            seen = texts(await reader.notes(100))
            assert [t for t in seen if t.startswith("red")] == [f"red{n}" for n in range(50)]
            assert [t for t in seen if t.startswith("blue")] == [f"blue{n}" for n in range(50)]


async def test_a_client_resumes_on_another_gateway_where_it_left_off(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as one,
        running_gateway(valkey.url, history) as other,
    ):
        for number in range(10):
            await one.send("lobby", f"n{number}")
        async with one.read(from_start("lobby")) as reader:
            seen = await reader.notes(4)
        async with other.read(behind(seen[-1])) as reader:
            seen += await reader.notes(6)
        assert texts(seen) == [f"n{number}" for number in range(10)]


async def test_a_room_that_emptied_is_heard_again_by_the_next_reader(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        for _ in range(3):
            async with gateway.read("lobby") as reader:
                await gateway.send("lobby", "hello")
                assert await reader.kinds(2) == ["caught_up", "hello"]


async def test_a_stream_that_is_not_read_slows_no_other_and_catches_up(
    valkey: ValkeyProcess,
) -> None:
    text = "x" * 16_000
    count = 200  # 3.2 MB, far more than the ring below and a stream's window hold
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history, ring_notes=16, ring_bytes=100_000) as gateway,
        gateway.read("lobby") as stalled,
        gateway.read("lobby") as reader,
    ):
        reading = asyncio.create_task(reader.notes(count))
        for number in range(count):
            await gateway.send("lobby", f"{number} {text}")
        assert [n.sequence for n in await reading] == [*range(1, count + 1)]
        caught_up = await stalled.notes(count)
        assert [n.sequence for n in caught_up] == [*range(1, count + 1)]


async def test_a_thousand_notes_replayed_to_many_are_the_same_for_all(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history, ring_notes=256) as gateway,
    ):
        await _send_many(gateway, "n", 1_000)

        async def read(wanted: RoomSubscription, first: int) -> None:
            async with gateway.read(wanted) as reader:
                notes = await reader.notes(1_001 - first)
                assert [n.sequence for n in notes] == [*range(first, 1_001)]
                assert (await reader.event()).HasField("caught_up")

        await asyncio.gather(
            *(read(from_start("busy"), 1) for _ in range(10)),
            *(read(RoomSubscription(room="busy", last=last), 1_001 - last) for last in (1, 300)),
        )
