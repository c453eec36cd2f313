"""A client that does not read costs the others nothing, and the gateway a bounded sum."""

import asyncio
import time
from statistics import median

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio

import chat_gateway.rooms.room
from chat_gateway.log.event_bytes import note_frame
from chat_gateway.rooms.hub import Hub
from chat_gateway.streams.room_cursor import RoomCursor
from chat_gateway.streams.subscription import Subscription
from chat_gateway.transport.outlet import Outlet
from notecast.v1.chat_pb2 import RoomSubscription, SubscribeRequest, SubscribeResponse
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from notecast.v1.note_pb2 import Cursor
from tests.support.census import living, resident_bytes, the
from tests.support.gateway_process import gateway_process
from tests.support.services import Gateway, Reader, from_start, running_gateway, running_history
from tests.support.statuses import detail_of, reason_of, retry_delay_ms
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

LARGE = "x" * 250_000
LARGE_BYTES = 262_144
"""As the bound on a text, for notes that fill what lies between gateway and client soon."""

OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


async def send_large(gateway: Gateway, room: str, count: int) -> None:
    for number in range(count):
        await gateway.send(room, f"{number} {LARGE}", deadline_seconds=30)


def outlets() -> list[Outlet]:
    """Of the streams that are open, whatever carries them."""
    return [stream.outlet for stream in living(Subscription)]


def is_stuck(outlet: Outlet) -> bool:
    """Whether nothing has got out for longer than any transport takes to try something else."""
    since = outlet.waiting_since
    return since is not None and time.monotonic() - since > 1.5


async def read_to_the_end(reader: Reader) -> tuple[list[int], aio.AioRpcError]:
    """The sequences that still come, and the error that they end with."""
    sequences: list[int] = []
    while True:
        try:
            sequences += [note.sequence for note in await reader.notes(1)]
        except aio.AioRpcError as error:
            return sequences, error


async def test_a_client_that_never_reads_costs_the_gateway_no_memory_that_grows_with_the_notes(
    valkey: ValkeyProcess,
) -> None:
    """No subscriber has a queue that grows without bound."""
    async with (
        gateway_process(valkey.url, max_text_bytes=LARGE_BYTES) as (pid, gateway),
        gateway.read("lobby"),
    ):
        await send_large(gateway, "lobby", 40)  # what lies in between is full from now on
        before = resident_bytes(pid)
        await send_large(gateway, "lobby", 200)
        grown = resident_bytes(pid) - before
    assert grown < 200 * len(LARGE) / 4


async def test_a_stream_that_is_not_read_ends_with_the_reason_and_the_cursor_to_resume_after(
    valkey: ValkeyProcess,
) -> None:
    """A client that never reads does not hold its stream for ever."""
    async with (
        running_history(valkey.url) as history,
        running_gateway(
            valkey.url, history, max_text_bytes=LARGE_BYTES, slow_reader_seconds=0.5
        ) as gateway,
        gateway.read("lobby") as other,
        gateway.read("lobby", "den") as stalled,
    ):
        reading = asyncio.create_task(other.notes(60))
        await send_large(gateway, "lobby", 60)
        assert [note.sequence for note in await reading] == [*range(1, 61)]
        # Its rooms are left, and what it was to get is let go of, though it reads nothing.
        await eventually(lambda: [*the(Hub).open_rooms()] == ["lobby"], "the stream has ended")
        assert not living(RoomCursor)

        sequences, error = await read_to_the_end(stalled)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(error) == "SLOW_READER"
        assert retry_delay_ms(error) > 0
        told = dict(detail_of(error, error_details_pb2.ErrorInfo).metadata)
        assert (told["rooms"], told["room"], told["room_2"]) == ("2", "lobby", "den")
        assert (told["sequence"], told["sequence_2"]) == (str(sequences[-1]), "0")
        assert float(told["waited_seconds"]) >= float(told["limit_seconds"]) == 0.5
        assert sequences == [*range(1, len(sequences) + 1)]
        assert len(sequences) < 60

        place = Cursor(epoch=int(told["epoch"]), sequence=int(told["sequence"]))
        async with gateway.read(RoomSubscription(room="lobby", after=place)) as resumed:
            rest = await resumed.notes(60 - len(sequences))
        assert sequences + [note.sequence for note in rest] == [*range(1, 61)]
        # The one that reads was idle for longer than the limit meanwhile, and lives.
        await gateway.send("lobby", "last")
        assert (await other.notes(1))[0].sequence == 61


async def test_a_stuck_client_that_leaves_before_its_status_is_out_leaves_nothing_behind(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(
        valkey.url,
        max_text_bytes=LARGE_BYTES,
        ring_bytes=67_108_864,  # nothing is read from history, which is down
        slow_reader_seconds=1.5,  # until then the last message goes out as far as it can
        max_streams=1,
    ) as gateway:
        async with gateway.read("lobby"):
            await send_large(gateway, "lobby", 40)
            await eventually(lambda: not the(Hub).open_rooms(), "the stream has ended")
            # Until its status is out the stream has its place, and no other gets it.
            with pytest.raises(aio.AioRpcError) as refused:
                await gateway.read("den").event()
            assert reason_of(refused.value) == "TOO_MANY_STREAMS"

        async def admitted() -> bool:
            try:
                async with gateway.read("den") as reader:
                    return await reader.kinds(1) == ["caught_up"]
            except aio.AioRpcError:
                return False

        await eventually(admitted, "the place is free again")


async def test_a_stalled_stream_holds_one_page_of_history_however_many_rooms_it_follows(
    valkey: ValkeyProcess,
) -> None:
    rooms = [f"room {number}" for number in range(8)]
    async with (
        running_history(valkey.url) as history,
        running_gateway(
            valkey.url, history, max_text_bytes=LARGE_BYTES, ring_bytes=600_000
        ) as gateway,
    ):
        for room in rooms:
            await send_large(gateway, room, 5)
        async with gateway.read(*map(from_start, rooms)) as stalled:
            (outlet,) = outlets()
            await eventually(lambda: is_stuck(outlet), "the client is stalled")
            assert sum(cursor._holds_permit for cursor in living(RoomCursor)) == 1
            assert sum(bool(cursor._page) for cursor in living(RoomCursor)) <= 1
            places: dict[str, list[int]] = {room: [] for room in rooms}
            for note in await stalled.notes(5 * len(rooms)):
                places[note.room].append(note.sequence)
        assert all(sequences == [1, 2, 3, 4, 5] for sequences in places.values())


async def delays_ms(gateway: Gateway, reader: Reader, count: int) -> list[float]:
    """How long each of some notes takes from the sender to the reader."""
    delays: list[float] = []
    for number in range(count):
        begun = time.monotonic()
        sending = asyncio.create_task(gateway.send("lobby", f"{number}"))
        await reader.notes(1)
        delays.append((time.monotonic() - begun) * 1_000)
        await sending
    return delays


async def test_a_stalled_client_leaves_the_delays_of_the_others_as_they_were(
    valkey: ValkeyProcess,
) -> None:
    """Fan-out does not wait for one subscriber after another."""
    async with (
        running_gateway(valkey.url, max_text_bytes=LARGE_BYTES, ring_bytes=67_108_864) as gateway,
        gateway.read("lobby") as reader,
        aio.insecure_channel(gateway.target, options=OWN_CONNECTION) as channel,
    ):
        before = await delays_ms(gateway, reader, 100)
        (reads,) = outlets()
        wanted = SubscribeRequest(subscriptions=[RoomSubscription(room="lobby")])
        async with Reader(ChatServiceStub(channel).Subscribe(wanted)):
            (stalled,) = (outlet for outlet in outlets() if outlet is not reads)
            sending = asyncio.create_task(send_large(gateway, "lobby", 40))
            await reader.notes(40)
            await sending
            await eventually(lambda: is_stuck(stalled), "the client is stalled")
            since = stalled.waiting_since
            meanwhile = await delays_ms(gateway, reader, 100)
            assert stalled.waiting_since == since  # nothing got out all the while
        after = await delays_ms(gateway, reader, 100)
    # Some ms are the machine's; a fan-out that waits for a stalled client waits for good.
    assert median(meanwhile) < 4 * max(median(before), median(after)) + 50


async def test_a_burst_to_many_streams_serialises_each_note_once(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note is serialised once for all subscribers, and several notes share a message."""
    made: list[int] = []

    def counted(epoch: int, sequence: int, note: bytes) -> bytes:
        made.append(sequence)
        return note_frame(epoch, sequence, note)

    monkeypatch.setattr(chat_gateway.rooms.room, "note_frame", counted)
    streams, notes, responses = 40, 300, 0

    async def read(reader: Reader) -> list[int]:
        nonlocal responses
        sequences: list[int] = []
        while len(sequences) < notes:
            response = await reader.call.read()
            assert isinstance(response, SubscribeResponse)
            responses += 1
            sequences += [e.note.sequence for e in response.events if e.HasField("note")]
        return sequences

    async with running_gateway(valkey.url) as gateway:
        readers = [gateway.read("lobby") for _ in range(streams)]
        await asyncio.gather(*(reader.__aenter__() for reader in readers))
        reading = [asyncio.create_task(read(reader)) for reader in readers]
        await asyncio.gather(*(gateway.send("lobby", f"{number}") for number in range(notes)))
        for sequences in await asyncio.gather(*reading):
            assert sequences == [*range(1, notes + 1)]
        for reader in readers:
            reader.call.cancel()
    assert sorted(made) == [*range(1, notes + 1)]
    assert responses < streams * notes
