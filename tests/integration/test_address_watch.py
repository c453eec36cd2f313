"""Redis's address is looked after, though no connection ends."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.testing import capture_logs

from notecast_runtime.redis import address_watch
from notecast_runtime.redis.address_watch import AddressWatch
from notecast_runtime.redis.connection import RedisConnection
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.layout import Ask
from notecast_runtime.redis.refusals import RefusedError
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
    connection: RedisConnection
    """Made before anything else."""


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    with ValkeyProcess(tmp_path / "one") as one, ValkeyProcess(tmp_path / "other") as other:
        async with Proxy(one.port) as proxy:
            guard = EpochGuard()
            connector = RedisConnector(proxy.redis_url, guard, 5)
            async with connector.connected() as connection:
                watch = AddressWatch(connector)
                yield Watched(proxy, one, other, guard, connector, watch, connection)


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
    await eventually(lambda: watched.guard.primary.generation == 1, "it has noticed")
    looking.cancel()
    await asyncio.wait([looking])


async def test_an_address_that_leads_to_a_replica_is_told_once_and_nobody_follows_it(
    watched: Watched,
) -> None:
    with watched.one.client() as one, watched.other.client() as other:
        other.replicaof("127.0.0.1", watched.one.port)
        watched.proxy.lead_to(watched.other.port)
        with capture_logs() as logs:
            for _ in range(3):
                with pytest.raises(RefusedError):
                    await watched.watch.look()
        [told] = [line for line in logs if line["log_level"] == "warning"]
        assert told["event"] == "redis_address_refuses"
        assert told["reason"] == "redis_read_only"
        assert told["words"] == "Redis is a replica that takes no writes"
        assert watched.guard.primary.generation == 0, "connections of before stay"
        assert await watched.connection.ask([("GET", "here"), ("ROLE",)])

        watched.proxy.lead_to(watched.one.port)
        await watched.watch.look()
        watched.proxy.lead_to(watched.other.port)
        with capture_logs() as logs, pytest.raises(RefusedError):
            await watched.watch.look()
        assert [line["event"] for line in logs] == ["redis_address_refuses"], "it has changed"

        other.replicaof("NO", "ONE")
        with capture_logs() as logs:
            await watched.watch.look()
        assert "redis_address_refuses" not in {line["event"] for line in logs}
        assert watched.guard.primary.generation == 1
        assert one.ping()


async def test_credentials_that_new_connections_lack_are_told_once(watched: Watched) -> None:
    with watched.other.client() as redis:
        redis.config_set("requirepass", "other")
        watched.proxy.lead_to(watched.other.port)
        with capture_logs() as logs:
            for _ in range(2):
                with pytest.raises(AuthenticationError):
                    await watched.watch.look()
    assert [line["reason"] for line in logs] == ["redis_credentials"]


async def test_an_address_that_leads_to_nobody_is_told_of_by_others(watched: Watched) -> None:
    watched.proxy.refuse(on=True)
    with capture_logs() as logs, pytest.raises(RedisConnectionError):
        await watched.watch.look()
    assert logs == []


async def test_a_server_that_is_slow_to_be_checked_has_the_time_of_any_connection(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = watched.guard.check

    async def slow(ask: Ask) -> None:
        await asyncio.sleep(0.5)  # longer than a look may take
        await check(ask)

    monkeypatch.setattr(address_watch, "_DEADLINE_SECONDS", 0.4)
    monkeypatch.setattr(address_watch, "_SHORTEST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(address_watch, "_LONGEST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(watched.guard, "check", slow)
    watched.proxy.lead_to(watched.other.port)
    looking = asyncio.create_task(watched.watch.run())
    await eventually(lambda: watched.guard.primary.generation == 1, "it is checked")
    looking.cancel()
    await asyncio.wait([looking])


async def test_one_question_at_a_time_is_asked_of_a_resolver_that_hangs(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_watch, "_DEADLINE_SECONDS", 0.05)
    questions, answers = 0, threading.Event()

    def resolve(_host: str) -> list[str]:
        nonlocal questions
        questions += 1
        assert answers.wait(10)
        return ["127.0.0.1"]

    url = f"redis://redis.example:{watched.proxy.port}/0"
    connector = RedisConnector(url, watched.guard, 0.05, resolve)
    watch = AddressWatch(connector)
    for _ in range(3):
        with pytest.raises((RedisTimeoutError, TimeoutError)):
            await watch.look()
        with pytest.raises(RedisTimeoutError):
            await connector.open()
    assert questions == 1, "reconnects wait for no other one either"
    answers.set()

    async def found() -> bool:
        with contextlib.suppress(RedisTimeoutError, TimeoutError):
            await watch.look()
            return True
        return False

    await eventually(found, "it looks again")


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
