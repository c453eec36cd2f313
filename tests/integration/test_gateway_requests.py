"""What clients get back: places, pages, and errors that say what is wrong."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from notecast.v1.chat_pb2 import ListNotesRequest, RoomSubscription, SendNoteRequest
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.keyspace import LAYOUT_KEY, PARTITIONS, run_key
from tests.support.services import Gateway, running_gateway, running_history, texts
from tests.support.valkey import ValkeyProcess


def status_of(error: aio.AioRpcError) -> status_pb2.Status:
    (details,) = (
        value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"
    )
    return status_pb2.Status.FromString(details)


def faulty_fields(error: aio.AioRpcError) -> dict[str, str]:
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    for packed in status_of(error).details:
        bad = error_details_pb2.BadRequest()
        if packed.Unpack(bad):
            return {v.field: v.description for v in bad.field_violations}
    return {}


async def refused(gateway: Gateway, wanted: RoomSubscription) -> dict[str, str]:
    with pytest.raises(aio.AioRpcError) as error:
        await gateway.read(wanted).event()
    return faulty_fields(error.value)


async def test_a_note_without_an_id_gets_one_of_its_own(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway:
        first, second = await gateway.send("lobby", "a"), await gateway.send("lobby", "b")
        assert first.note_id
        assert first.note_id != second.note_id


async def test_bad_input_is_named_and_nothing_is_stored(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway:
        request = SendNoteRequest(room="lobby", author="", text="x" * 16_385, note_id="\x00")
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.stub.SendNote(request, timeout=10)
        faults = faulty_fields(error.value)
        assert set(faults) == {"author", "text", "note_id"}
        assert "16384" in faults["text"]
    with valkey.client() as redis:
        # What each gateway leaves is the run of Redis that it met, and the layout of the data.
        kept = {*map(run_key, range(PARTITIONS)), LAYOUT_KEY}
        assert {key.decode() for key in redis.keys("*")} <= kept


async def test_a_cursor_that_the_room_has_not_reached_is_refused(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway:
        place = (await gateway.send("lobby", "only")).cursor
        beyond = Cursor(epoch=place.epoch, sequence=2)
        faults = await refused(gateway, RoomSubscription(room="lobby", after=beyond))
        assert faults == {
            "subscriptions[0].after.sequence": "2 is unknown; the room's newest note has 1"
        }
        elsewhere = Cursor(epoch=999, sequence=1)
        faults = await refused(gateway, RoomSubscription(room="lobby", after=elsewhere))
        assert set(faults) == {"subscriptions[0].after.epoch"}
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.stub.ListNotes(ListNotesRequest(room="lobby", before=beyond))
        assert set(faulty_fields(error.value)) == {"before.sequence"}


async def test_a_subscription_to_too_many_rooms_is_refused_with_the_bound(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url, max_rooms_per_stream=2) as gateway:
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.read("a", "b", "c").event()
        assert "at most 2" in faulty_fields(error.value)["subscriptions"]


async def test_pages_lead_back_to_the_first_note(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        for number in range(1, 8):
            await gateway.send("lobby", f"n{number}")
        pages = []
        request = ListNotesRequest(room="lobby", page_size=3)
        while True:
            page = await gateway.stub.ListNotes(request, timeout=10)
            pages.append(texts(page.notes))
            if not page.HasField("next_before"):
                break
            request.before.CopyFrom(page.next_before)
        assert pages == [["n5", "n6", "n7"], ["n2", "n3", "n4"], ["n1"]]


async def test_a_page_of_an_unknown_room_is_empty(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        page = await gateway.stub.ListNotes(ListNotesRequest(room="nowhere"), timeout=10)
        assert not page.notes
        assert not page.HasField("next_before")


async def test_a_page_without_history_says_when_to_try_again(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway:
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.stub.ListNotes(ListNotesRequest(room="lobby"), timeout=5)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE
        kinds = {packed.TypeName() for packed in status_of(error.value).details}
        assert "google.rpc.RetryInfo" in kinds


async def test_a_second_gateway_on_the_same_port_does_not_start(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        port = int(gateway.target.rpartition(":")[2])
        with pytest.raises(SystemExit) as ended:
            async with running_gateway(valkey.url, listen_port=port):
                pytest.fail("it must not come this far")
        assert ended.value.code == 1
