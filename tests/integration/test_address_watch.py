"""Redis's address is looked after, though no connection ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from structlog.testing import capture_logs

from notecast_runtime import address_watch
from notecast_runtime.address_watch import AddressWatch
from notecast_runtime.epoch_guard import EpochGuard
from notecast_runtime.redis_connector import RedisConnector
from tests.chaos.proxy import Proxy
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


class Watched(NamedTuple):
    """An address, what it may lead to, and who looks after it."""

    proxy: Proxy
    one: ValkeyProcess
    other: ValkeyProcess
    guard: EpochGuard
    connector: RedisConnector
    watch: AddressWatch


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    with ValkeyProcess(tmp_path / "one") as one, ValkeyProcess(tmp_path / "other") as other:
        proxy, guard = Proxy(one.port), EpochGuard()
        await proxy.start()
        connector = RedisConnector(f"redis://127.0.0.1:{proxy.port}/0", guard, 5)
        async with connector.connected():
            yield Watched(proxy, one, other, guard, connector, AddressWatch(connector))
        proxy.stop()


async def test_a_look_costs_one_connection_and_two_commands_where_all_is_as_before(
    watched: Watched,
) -> None:
    with watched.one.client() as redis:
        before = redis.info("stats")
        for _ in range(10):
            await watched.watch.look()
        after = redis.info("stats")
        assert after["total_connections_received"] - before["total_connections_received"] == 10
        commands = after["total_commands_processed"] - before["total_commands_processed"]
        assert commands == 21, "a greeting and a question each, and the first one to count them"
        await eventually(lambda: len(redis.client_list()) == 2, "none of them stays")
    assert watched.guard.primary.generation == 0


async def test_connections_are_left_once_the_address_leads_to_another_server(
    watched: Watched,
) -> None:
    watched.proxy.lead_to(watched.other.port)
    await watched.watch.look()
    assert watched.guard.primary.generation == 1
    await watched.watch.look()
    assert watched.guard.primary.generation == 1, "which is told once"


@pytest.mark.parametrize(
    "fails", [lambda proxy: proxy.refuse(on=True), Proxy.stall], ids=["refused", "hanging"]
)
async def test_it_looks_on_after_no_connection_could_be_made(
    watched: Watched, fails: Callable[[Proxy], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_watch, "_SHORTEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(address_watch, "_LONGEST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(address_watch, "_DEADLINE_SECONDS", 0.1)
    failed = 0
    look = watched.watch.look

    async def counted() -> None:
        nonlocal failed
        try:
            await look()
        except BaseException:
            failed += 1
            raise

    monkeypatch.setattr(watched.watch, "look", counted)
    looking = asyncio.create_task(watched.watch.run())
    fails(watched.proxy)
    await eventually(lambda: failed > 3, "looks fail")
    watched.proxy.lead_to(watched.other.port)
    watched.proxy.refuse(on=False)
    watched.proxy.resume()
    # Now it may take its time: another epoch has to begin in every partition.
    monkeypatch.setattr(address_watch, "_DEADLINE_SECONDS", 5)
    await eventually(lambda: watched.guard.primary.generation == 1, "it has noticed")
    looking.cancel()
    await asyncio.wait([looking])


async def test_it_looks_on_after_a_fault_of_ours(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_watch, "_SHORTEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(address_watch, "_LONGEST_PAUSE_SECONDS", 0.02)
    looks = 0

    async def faulty() -> bool:
        nonlocal looks
        looks += 1
        raise ValueError("an answer that nobody knows")

    monkeypatch.setattr(watched.connector, "leads_elsewhere", faulty)
    with capture_logs() as logs:
        looking = asyncio.create_task(watched.watch.run())
        await eventually(lambda: looks > 1, "it looks again")
        looking.cancel()
        await asyncio.wait([looking])
    assert {line["event"] for line in logs} == {"address_watch_failed"}
