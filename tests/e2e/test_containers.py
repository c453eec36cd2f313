"""The stack of deploy/docker-compose.yml, as `docker compose up` starts it."""

import asyncio
import itertools
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from grpc import aio

from notecast.v1.chat_pb2 import SendNoteRequest
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from tests.support.containers import Containers
from tests.support.reading_client import ReadingClient
from tests.support.sending import send_all
from tests.support.tutorial_client import TutorialClient
from tests.support.waiting import eventually

# The first run builds the images.
pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]


async def test_chat_goes_through_containers(containers: Containers) -> None:
    async with ReadingClient(containers.target, "chat") as early:
        await send_all([containers.target], "chat", ["hello"])
        await early.holds(1)
        async with ReadingClient(containers.target, "chat", from_start=True) as late:
            await late.holds(1)
    assert early.texts == late.texts == ["hello"]


async def test_two_gateways_bring_all_notes_to_all_streams_in_order_once(
    containers: Containers,
) -> None:
    texts = [f"note {number}" for number in range(1000)]
    readers = [ReadingClient(containers.target, "busy") for _ in range(40)]
    await no_stream_is_left_of_before(containers)
    async with AsyncExitStack() as opened:
        for reader in readers:
            await opened.enter_async_context(reader)
        assert sorted(containers.open_streams()) == [20, 20]
        acknowledged = await send_all([containers.target], "busy", texts)
        await asyncio.gather(*(reader.holds(1000) for reader in readers))
    assert sorted(acknowledged) == sorted(texts)
    for reader in readers:
        assert reader.sequences == list(range(1, 1001))


def test_the_tutorials_client_chats_with_containers(
    containers: Containers, tutorial_stubs: Path
) -> None:
    with TutorialClient(tutorial_stubs, containers.tutorial_port, "ann") as ann:
        ann.say("hello")
        assert ann.hear() == "[ann] hello"
    with TutorialClient(tutorial_stubs, containers.tutorial_port, "ben") as ben:
        assert ben.hear() == "[ann] hello"


async def test_streams_outlast_a_restart_of_redis_and_senders_are_told_when_to_try_again(
    containers: Containers,
) -> None:
    target = containers.target
    async with ReadingClient(target, "patience") as reader, aio.insecure_channel(target) as channel:
        containers.compose("stop", "redis")
        with pytest.raises(aio.AioRpcError) as refused:
            await ChatServiceStub(channel).SendNote(
                SendNoteRequest(room="patience", author="ann", text="lost"), timeout=10
            )
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        # The gateway's own answer, with details; Envoy would have none to give.
        assert "grpc-status-details-bin" in dict(refused.value.trailing_metadata())
        containers.compose("up", "--detach", "--wait")
        attempts = (f"back {number}" for number in itertools.count())

        async def stored() -> dict[str, int]:
            return await send_all([target], "patience", [next(attempts)])

        await eventually(stored, "notes are stored again", 30)
        await eventually(lambda: reader.texts, "and delivered to the stream of before", 30)
        assert reader.reconnects == 0


async def test_four_gateways_share_the_streams_and_one_that_is_killed_costs_only_a_reconnect(
    containers: Containers,
) -> None:
    await asyncio.to_thread(containers.scale, 4)
    await eventually(lambda: containers.ready_gateways() == 4, "Envoy knows four gateways", 30)
    await no_stream_is_left_of_before(containers)
    room, target = "scaled", containers.target
    readers = [ReadingClient(target, room) for _ in range(40)]
    async with AsyncExitStack() as opened:
        for reader in readers:
            await opened.enter_async_context(reader)
        assert sorted(containers.open_streams()) == [10, 10, 10, 10]
        acknowledged = await send_all([target], room, [f"before {n}" for n in range(200)])
        assert len(acknowledged) == 200
        containers.kill(containers.gateways()[0])
        acknowledged |= await send_all([target], room, [f"during {n}" for n in range(200)])
        await eventually(lambda: containers.ready_gateways() == 3, "Envoy dropped the dead", 30)
        after = await send_all([target], room, [f"after {n}" for n in range(200)])
        assert len(after) == 200
        acknowledged |= after
        newest = max(acknowledged.values())
        await asyncio.gather(*(reader.holds(newest) for reader in readers))
    for reader in readers:
        assert reader.sequences == list(range(1, newest + 1))
        assert reader.discontinuities == []
        assert (
            acknowledged.items() <= dict(zip(reader.texts, reader.sequences, strict=True)).items()
        )
    assert sum(reader.reconnects > 0 for reader in readers) == 10


async def no_stream_is_left_of_before(containers: Containers) -> None:
    await eventually(lambda: not any(containers.open_streams()), "no stream is open", 30)
