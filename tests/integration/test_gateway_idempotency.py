"""A send that is repeated makes one note, whoever answers it."""

import asyncio

import grpc
import pytest
from grpc import aio

from notecast.v1.chat_pb2 import SendNoteRequest
from notecast_runtime.keyspace import outbox_key, partition_of, sent_key
from tests.support.services import running_gateway, running_history, texts
from tests.support.valkey import ValkeyProcess

NOTE = SendNoteRequest(room="lobby", author="ann", text="once", note_id="n-1")


async def test_a_thousand_repeats_through_two_gateways_make_one_note_and_one_answer(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as one,
        running_gateway(valkey.url, history) as other,
        one.read("lobby") as reader,
    ):
        answers = await asyncio.gather(
            *((one, other)[i % 2].stub.SendNote(NOTE, timeout=30) for i in range(1_000))
        )
        assert [answer.duplicate for answer in answers].count(False) == 1
        for answer in answers:
            answer.duplicate = False
        assert all(answer == answers[0] for answer in answers)
        await one.send("lobby", "and on")
        assert texts(await reader.notes(2)) == ["once", "and on"]
    with valkey.client() as redis:
        assert redis.xlen(outbox_key(partition_of("lobby"))) == 2


async def test_an_id_that_was_used_for_another_note_is_refused(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway:
        await gateway.stub.SendNote(NOTE, timeout=10)
        for other in ({"text": "twice"}, {"author": "bob"}, {"labels": {"a": "b"}}):
            changed = SendNoteRequest()
            changed.CopyFrom(NOTE)
            changed.MergeFrom(SendNoteRequest(**other))
            with pytest.raises(aio.AioRpcError) as error:
                await gateway.stub.SendNote(changed, timeout=10)
            assert error.value.code() is grpc.StatusCode.ALREADY_EXISTS
    with valkey.client() as redis:
        assert redis.xlen(outbox_key(partition_of("lobby"))) == 1


async def test_the_same_id_in_another_room_is_another_note(valkey: ValkeyProcess) -> None:
    elsewhere = SendNoteRequest(room="den", author="ann", text="once", note_id="n-1")
    async with running_gateway(valkey.url) as gateway:
        first = await gateway.stub.SendNote(NOTE, timeout=10)
        second = await gateway.stub.SendNote(elsewhere, timeout=10)
        assert not first.duplicate
        assert not second.duplicate


async def test_an_id_is_remembered_for_the_window_and_no_longer(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url, idempotency_window_seconds=100) as gateway:
        await gateway.stub.SendNote(NOTE, timeout=10)
        with valkey.client() as redis:
            assert 90_000 < redis.pttl(sent_key("lobby", "n-1")) <= 100_000
            redis.delete(sent_key("lobby", "n-1"))
        assert not (await gateway.stub.SendNote(NOTE, timeout=10)).duplicate


async def test_nothing_is_remembered_of_an_id_that_the_server_made(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        await gateway.send("lobby", "hello")
    with valkey.client() as redis:
        assert redis.keys("*:sent:*") == []
