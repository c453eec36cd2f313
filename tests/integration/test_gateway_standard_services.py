"""What tools expect of a gRPC server, and what the tutorial's client expects of its own."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

from tests.support.health import health_of
from tests.support.services import running_gateway, running_history
from tests.support.valkey import ValkeyProcess
from tutorial.chat_pb2 import Empty, Note
from tutorial.chat_pb2_grpc import ChatServerStub


async def test_health_is_told_by_every_name_and_for_no_other(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway:
        names = ("", "liveness", "readiness", "notecast.v1.ChatService", "grpc.ChatServer")
        for name in names:
            assert await health_of(gateway.target, name) == "SERVING"
        assert await health_of(gateway.target, "nobody") == "NOT_FOUND"


async def next_note(stream: aio.UnaryStreamCall[Empty, Note]) -> Note:
    note = await stream.read()
    assert isinstance(note, Note), "the stream has ended"
    return note


async def test_a_tutorial_client_gets_the_whole_history_and_then_each_note(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as one,
        running_gateway(valkey.url, history) as other,
    ):
        tutorial = ChatServerStub(one.channel)
        for number in range(3):
            await tutorial.SendNote(Note(name="ann", message=f"n{number}"), timeout=10)
        await other.send("lobby", "from elsewhere", author="bob")
        stream = ChatServerStub(other.channel).ChatStream(Empty(), timeout=20)
        heard = [await next_note(stream) for _ in range(4)]
        assert [(note.name, note.message) for note in heard] == [
            ("ann", "n0"),
            ("ann", "n1"),
            ("ann", "n2"),
            ("bob", "from elsewhere"),
        ]
        await tutorial.SendNote(Note(name="ann", message="live"), timeout=10)
        assert (await next_note(stream)).message == "live"
        stream.cancel()


async def test_a_tutorial_note_is_a_note_of_the_configured_room(valkey: ValkeyProcess) -> None:
    async with (
        running_gateway(valkey.url, tutorial_room="den") as gateway,
        gateway.read("den") as reader,
    ):
        await ChatServerStub(gateway.channel).SendNote(Note(name="ann", message="hi"), timeout=10)
        (note,) = await reader.notes(1)
        assert (note.room, note.author, note.text) == ("den", "ann", "hi")


@pytest.mark.parametrize(
    ("typed", "author"),
    [(" ann ", "ann"), ("Zoe\u0308", "Zo\u00eb"), ("an\u202en", "ann"), ("ann\t\n", "ann")],
)
async def test_a_tutorial_user_may_type_any_name(
    valkey: ValkeyProcess, typed: str, author: str
) -> None:
    async with running_gateway(valkey.url) as gateway, gateway.read("lobby") as reader:
        await ChatServerStub(gateway.channel).SendNote(Note(name=typed, message="hi"), timeout=10)
        (note,) = await reader.notes(1)
        assert note.author == author


async def test_a_tutorial_client_s_bad_note_is_named_in_the_tutorial_s_words(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        with pytest.raises(aio.AioRpcError) as error:
            await ChatServerStub(gateway.channel).SendNote(Note(name="ann"), timeout=10)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        (value,) = (v for k, v in error.value.trailing_metadata() if k.endswith("details-bin"))
        bad = error_details_pb2.BadRequest()
        assert any(d.Unpack(bad) for d in status_pb2.Status.FromString(value).details)
        assert [violation.field for violation in bad.field_violations] == ["message"]
