"""The stack of deploy/docker-compose.yml, as `docker compose up` starts it."""

import asyncio
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from grpc import aio
from testcontainers.compose import DockerCompose

from notecast.v1.chat_pb2 import SendNoteRequest
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from tests.support.ports import free_port
from tests.support.reading_client import ReadingClient
from tests.support.sending import send_all
from tests.support.tutorial_client import TutorialClient
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]

# The first run builds the images.
pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

_COMPOSE_SECONDS = 180


def engine_fault() -> str | None:
    """Why there is no engine to run containers, or None where there is one."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if answer.returncode:
            return f"`{' '.join(command)}` fails: {answer.stderr.strip()}"
    return None


class Containers:
    """The running stack, and what an operator does with it."""

    def __init__(self, compose: DockerCompose, port: int, tutorial_port: int) -> None:
        self._compose = compose
        self.target = f"127.0.0.1:{port}"
        self.tutorial_port = tutorial_port

    def scale(self, gateways: int) -> None:
        """Runs that many gateways, and returns when all are healthy."""
        self.compose("up", "--detach", "--wait", "--scale", f"chat-gateway={gateways}")

    def gateways(self) -> list[str]:
        """The ids of the running gateway containers."""
        return self.compose("ps", "--quiet", "chat-gateway").split()

    def kill(self, container: str) -> None:
        """SIGKILL."""
        subprocess.run(["docker", "kill", "--signal", "KILL", container], check=True, timeout=30)

    def ready_gateways(self) -> int:
        """How many gateways Envoy gives calls to."""
        return self._of_each_gateway("health_flags").count("healthy")

    def open_streams(self) -> list[int]:
        """How many calls each gateway has open, as Envoy counts them."""
        return [int(count) for count in self._of_each_gateway("rq_active")]

    def _of_each_gateway(self, name: str) -> list[str]:
        return re.findall(rf"^chat-gateway::[\d.:]+::{name}::(.*)$", self._stats(), re.MULTILINE)

    def _stats(self) -> str:
        request = r"GET /clusters HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        talk = f"exec 3<>/dev/tcp/127.0.0.1/9901; printf '{request}' >&3; cat <&3"
        return self.compose("exec", "--no-TTY", "envoy", "bash", "-c", talk)

    def compose(self, *arguments: str) -> str:
        """Runs `docker compose` with these arguments; returns its output."""
        command = [*self._compose.docker_compose_command(), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=_COMPOSE_SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    """The stack with a name and ports of its own; nothing of it is left afterwards."""
    fault = engine_fault()
    if fault and os.environ.get("NOTECAST_REQUIRE_CONTAINERS") == "1":
        pytest.fail(f"container tests must run here, and {fault}")
    if fault:
        pytest.skip(f"no container engine: {fault}")
    with pytest.MonkeyPatch.context() as environment:
        ports = free_port(), free_port()
        environment.setenv("COMPOSE_PROJECT_NAME", f"notecast-test-{os.getpid()}")
        environment.setenv("NOTECAST_PORT", str(ports[0]))
        environment.setenv("NOTECAST_TUTORIAL_PORT", str(ports[1]))
        with DockerCompose(
            ROOT, compose_file_name="compose.yaml", build=True, wait=True
        ) as compose:
            yield Containers(compose, *ports)


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
