"""The client and the command against real gateways, a real history and a real Valkey."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from notecast.v1 import chat_pb2, event_pb2
from notecast_client.client import Client
from notecast_client.errors import RequestRefusedError
from tests.support.command import finish, notecast, start
from tests.support.ports import free_port
from tests.support.services import running_gateway, running_history
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


async def test_a_conversation_by_command_over_two_gateways(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as one,
        running_gateway(valkey.url, history) as other,
    ):
        first = await notecast("send", "lobby", "first", "-n", "ann", server=one.target)
        tail = await start("tail", "lobby", "--from-start", "--json", server=other.target)
        assert tail.stdout is not None
        assert json.loads(await tail.stdout.readline())["text"] == "first"
        second = await notecast("send", "lobby", "second", "-n", "bob", server=one.target)
        note = json.loads(await tail.stdout.readline())
        assert (note["author"], note["text"]) == ("bob", "second")
        assert second.out == f"{note['epoch']}:{note['sequence']}\n"
        tail.terminate()
        assert await finish(tail) == (143, "", "")

        behind = await notecast(
            *("tail", "lobby", "--after", first.out.strip(), "--json", "--no-follow"),
            server=one.target,
        )
        assert [json.loads(line)["text"] for line in behind.out.splitlines()] == ["second"]
        read_back = await notecast("history", "lobby", "--all", server=other.target)
        assert [line.split(" ", 2)[2] for line in read_back.out.splitlines()] == [
            "ann: first",
            "bob: second",
        ]
        talk = await notecast("chat", "lobby", "-n", "eve", server=one.target, text="hi\nall\n")
        assert talk.code == 0
        assert talk.out.endswith("eve: all\n")
        assert await notecast("health", server=one.target) == (0, "SERVING\n", "")


async def test_lines_that_a_gateway_refuses_are_named_and_the_others_are_stored(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        text = f"one\n\x1b[31mred\n{'x' * 20_000}\n{'x' * 900_000}\nlast\n"
        outcome = await notecast("chat", "lobby", server=gateway.target, text=text)
        assert outcome.code == 1
        told = outcome.err.splitlines()
        assert [line.split(":")[1] for line in told] == [
            f" line {number} was not sent" for number in (2, 3, 4)
        ]
        assert "U+001B at 0" in told[0]
        assert "at most 16384" in told[1]
        stored = await notecast("history", "lobby", "--json", server=gateway.target)
        assert [json.loads(line)["text"] for line in stored.out.splitlines()] == ["one", "last"]


async def test_a_room_is_the_same_by_either_spelling(valkey: ValkeyProcess) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        Client(gateway.target) as client,
    ):
        await client.send(decomposed, "Zoe\u0308", "hello")
        for name in (composed, decomposed):
            (note,) = (await client.list_notes(name)).notes
            assert (note.room, note.author) == (composed, "Zo\u00eb")
        start = chat_pb2.RoomSubscription(room=decomposed, last=1)
        async with aclosing(client.subscribe(start)) as events:
            assert (await anext(events)).note.room == composed
        assert start.room == decomposed


async def test_a_client_whose_gateway_restarts_resumes_without_loss_or_repetition(
    valkey: ValkeyProcess,
) -> None:
    port = free_port()
    events: list[event_pb2.Event] = []

    def texts() -> list[str]:
        return [event.note.text for event in events if event.HasField("note")]

    async def read(client: Client) -> None:
        start = chat_pb2.RoomSubscription(room="lobby", from_start=True)
        async with aclosing(client.subscribe(start)) as subscription:
            async for event in subscription:
                events.append(event)  # noqa: PERF401 - seen while the loop goes on

    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as other,
        Client(f"127.0.0.1:{port}") as client,
    ):
        async with running_gateway(valkey.url, history, listen_port=port):
            reading = asyncio.create_task(read(client))
            await other.send("lobby", "before")
            await eventually(lambda: texts() == ["before"], "the first note arrives")
        await other.send("lobby", "meanwhile")
        async with running_gateway(valkey.url, history, listen_port=port):
            await other.send("lobby", "after")
            await eventually(lambda: len(texts()) == 3, "all notes arrive")
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    assert texts() == ["before", "meanwhile", "after"]


async def test_a_log_that_vanished_is_told_of_and_the_new_one_is_read(
    valkey: ValkeyProcess,
) -> None:
    port = free_port()
    events: list[event_pb2.Event] = []

    async def read(client: Client) -> None:
        async with aclosing(client.subscribe("lobby")) as subscription:
            async for event in subscription:
                events.append(event)  # noqa: PERF401 - seen while the loop goes on

    def kinds() -> list[str]:
        return [event.note.text or event.WhichOneof("kind") or "" for event in events]

    async with running_history(valkey.url) as history, Client(f"127.0.0.1:{port}") as client:
        async with running_gateway(valkey.url, history, listen_port=port) as gateway:
            reading = asyncio.create_task(read(client))
            await eventually(lambda: kinds() == ["caught_up"], "the room is caught up")
            await gateway.send("lobby", "old")
            await eventually(lambda: "old" in kinds(), "the note arrives")
        with valkey.client() as redis:
            redis.flushall()
        async with running_gateway(valkey.url, history, listen_port=port) as gateway:
            await gateway.send("lobby", "new")
            await eventually(lambda: "new" in kinds(), "the new note arrives")
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    assert [kind for kind in kinds() if kind != "caught_up"] == ["old", "discontinuity", "new"]


async def test_what_the_gateway_refuses_names_the_field(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway, Client(gateway.target) as client:
        with pytest.raises(RequestRefusedError) as caught:
            await client.send("", "ann", "x" * 20_000)
    assert {violation.field for violation in caught.value.violations} == {"room", "text"}


async def test_a_person_is_told_nothing_of_streams_that_are_sent_elsewhere(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history, stream_lifetime_seconds=0.2) as gateway,
    ):
        tail = await start("tail", "lobby", "--from-start", "--json", server=gateway.target)
        assert tail.stdout is not None
        for number in range(4):
            await gateway.send("lobby", f"n{number}")
            assert json.loads(await tail.stdout.readline())["text"] == f"n{number}"
            opened = times_subscribed(valkey)
            await eventually(lambda: times_subscribed(valkey) > opened, "it resumes")  # noqa: B023
        tail.terminate()
        assert await finish(tail) == (143, "", "")


def times_subscribed(valkey: ValkeyProcess) -> int:
    """How often a room was opened by now; the one reader's stream opens it each time anew."""
    with valkey.client() as redis:
        commands: Any = redis.info("commandstats")
    return sum(
        int(commands.get(f"cmdstat_{name}", {}).get("calls", 0))
        for name in ("subscribe", "ssubscribe")
    )
