"""A proxy that the environment names is never between parts that need none.

A company's `http_proxy` is for the way out. Here it leads to a listener that counts who comes.
"""

import asyncio
import os
import sys
from asyncio import StreamReader, StreamWriter, subprocess
from collections.abc import AsyncIterator

import pytest

from chat_gateway.history.history_grpc import GrpcHistory
from notecast_wire.fairness.clients import ClientId
from tests.support.command import notecast
from tests.support.scripted_chat_server import ScriptedChatServer
from tests.support.services import running_gateway, running_history
from tests.support.valkey import ValkeyProcess

_NAMES = ("http_proxy", "https_proxy", "grpc_proxy")


class Proxy:
    """Writes down what it is asked for, and never gives it."""

    def __init__(self, address: str, asked: asyncio.Queue[str]) -> None:
        self.environment = dict.fromkeys(_NAMES, f"http://{address}")
        self.asked = asked


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def note_down(reader: StreamReader, writer: StreamWriter) -> None:
        asked.put_nowait((await reader.readline()).decode())
        writer.close()

    async with await asyncio.start_server(note_down, "127.0.0.1", 0) as server:
        yield Proxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", asked)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedChatServer]:
    async with ScriptedChatServer() as scripted:
        scripted.health.report("scripted", holds=True)
        yield scripted


@pytest.mark.parametrize("options", [(), ("--proxy",)])
async def test_the_command_speaks_to_this_machine_without_a_proxy(
    server: ScriptedChatServer, proxy: Proxy, options: tuple[str, ...]
) -> None:
    outcome = await notecast(*options, "health", server=server.address, **proxy.environment)
    assert outcome == (0, "SERVING\n", "")
    assert proxy.asked.empty()


async def test_the_command_goes_through_a_proxy_where_it_is_told_to_and_only_then(
    proxy: Proxy,
) -> None:
    far = "192.0.2.1:8080"  # of the networks that exist in documents only (RFC 5737)
    words = ("--timeout", "0.5", "health")
    assert (await notecast(*words, server=far, **proxy.environment)).code == 69
    assert proxy.asked.empty()
    assert (await notecast("--proxy", *words, server=far, **proxy.environment)).code == 69
    assert proxy.asked.get_nowait() == f"CONNECT {far} HTTP/1.1\r\n"


async def test_the_health_check_of_containers_asks_its_server_and_no_proxy(
    server: ScriptedChatServer, proxy: Proxy
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "no_grpc_proxy"}
    process = await subprocess.create_subprocess_exec(
        *(sys.executable, "-m", "notecast_runtime.probe", server.address, "readiness"),
        env=environment | proxy.environment,
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"SERVING\n")
    assert proxy.asked.empty()


async def test_a_gateway_asks_history_and_no_proxy(
    valkey: ValkeyProcess, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_history(valkey.url) as target, running_gateway(valkey.url) as gateway:
        await gateway.send("lobby", "hello")
        for name, value in proxy.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("no_grpc_proxy")
        history = GrpcHistory(target)
        client = ClientId("192.0.2.1", "1")
        page = await history.list_notes("lobby", 0, 10, timeout_seconds=10, client=client)
        assert len(page.notes) == 1
        assert proxy.asked.empty()
        await history.close()
