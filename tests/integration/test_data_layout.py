"""Data of another layout are never written to, and data without a number are taken over."""

import asyncio
from pathlib import Path

import pytest
import redis

from notecast_runtime.keyspace import (
    LAYOUT_KEY,
    LAYOUT_VERSION,
    PARTITIONS,
    first_layout_prefix,
    lease_key,
)
from notecast_runtime.redis.client import connect
from notecast_runtime.redis.connection import RedisConnection
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.layout import EXIT_CODE, MIGRATION, LayoutError
from tests.support.health import health_of, wait_until_serving
from tests.support.service_process import Ending, service_process
from tests.support.services import from_start, running_gateway, running_history, texts
from tests.support.valkey import ValkeyProcess

SERVICES = ["chat_gateway", "history"]
PRESENT = str(LAYOUT_VERSION).encode()
NEWER = str(LAYOUT_VERSION + 1)
LEASES = {lease_key(partition).encode() for partition in range(PARTITIONS)}


def contents(store: redis.Redis) -> dict[bytes, bytes | None]:
    """All that Redis holds, but for the leases, which end by themselves."""
    return {key: store.dump(key) for key in store.scan_iter() if key not in LEASES}


def reason(ending: Ending) -> dict[str, object]:
    """What the process says of why it ended."""
    lines = [line for line in ending.log if line["event"] == "data_layout_unknown"]
    assert len(lines) == 1, ending.log
    return lines[0]


@pytest.mark.parametrize("service", SERVICES)
async def test_an_empty_redis_is_given_the_number_of_the_layout(
    service: str, valkey: ValkeyProcess, store: redis.Redis
) -> None:
    async with service_process(service, valkey.url) as process:
        await wait_until_serving(process.target, seconds=20)
        assert store.get(LAYOUT_KEY) == PRESENT


async def test_data_that_have_lost_their_number_are_taken_over(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    async with running_history(valkey.url), running_gateway(valkey.url) as gateway:
        await gateway.send("lobby", "written before")
    store.delete(LAYOUT_KEY)
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        gateway.read(from_start("lobby")) as reader,
    ):
        await gateway.send("lobby", "written after")
        assert texts(await reader.notes(2)) == ["written before", "written after"]
        assert store.get(LAYOUT_KEY) == PRESENT


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("found", "advice"),
    [
        (NEWER, "newer release"),
        ("1", "notecast_runtime.migrate"),
        (MIGRATION, "being migrated"),
        ("of others", "right Redis"),
    ],
)
async def test_a_service_that_meets_another_layout_refuses_to_start_and_says_what_to_do(
    service: str, found: str, advice: str, valkey: ValkeyProcess, store: redis.Redis
) -> None:
    store.set(LAYOUT_KEY, found)
    before = contents(store)
    async with service_process(service, valkey.url) as process:
        ending = await process.ends()
    assert ending.code == EXIT_CODE
    assert [line["event"] for line in ending.log] == ["data_layout_unknown"]
    said = reason(ending)
    assert (said["found"], said["known"], said["level"]) == (found, LAYOUT_VERSION, "error")
    assert advice in str(said["advice"])
    assert contents(store) == before


async def test_a_layout_that_is_no_string_is_another_one(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    store.rpush(LAYOUT_KEY, "of others")
    async with service_process("history", valkey.url) as process:
        ending = await process.ends()
    assert ending.code == EXIT_CODE
    assert store.keys() == [LAYOUT_KEY.encode()]


async def test_a_running_service_whose_redis_comes_back_with_another_layout_ends_and_writes_nothing(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with (
        service_process("history", valkey.url) as history,
        service_process("chat_gateway", valkey.url, shutdown_grace_seconds=1) as gateway,
    ):
        await wait_until_serving(history.target, seconds=20)
        await wait_until_serving(gateway.target, seconds=20)
        valkey.stop()
        # Somebody migrates the data where the services can't see them.
        with ValkeyProcess(tmp_path / "valkey") as elsewhere, elsewhere.client() as store:
            store.set(LAYOUT_KEY, NEWER)
            before = contents(store)
            elsewhere.stop()
        valkey.start()
        for process in (history, gateway):
            ending = await process.ends()
            assert ending.code == EXIT_CODE
            assert reason(ending)["found"] == NEWER
            assert await health_of(process.target) == "UNAVAILABLE"
    with valkey.client() as store:
        assert contents(store) == before


async def test_a_redis_that_forgot_all_it_had_is_numbered_at_the_next_connection(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    later = RedisConnector(valkey.url, EpochGuard(LAYOUT_VERSION + 1), 5)
    async with running_gateway(valkey.url) as gateway:
        store.flushall()
        await gateway.send("lobby", "accepted on a connection of before")
    async with later.connected():
        assert store.get(LAYOUT_KEY) == NEWER.encode()


async def test_to_a_later_release_data_without_a_number_are_of_the_layout_of_their_tags(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    async with RedisConnector(valkey.url, EpochGuard(), 5).connected():
        store.delete(LAYOUT_KEY)
    await is_refused_as(b"2", valkey, LAYOUT_VERSION + 1)


async def test_data_of_before_there_was_a_number_are_of_the_first_layout_and_refused(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    store.set(first_layout_prefix(17) + "run", "a run of Redis")
    await is_refused_as(b"1", valkey, LAYOUT_VERSION)


async def is_refused_as(version: bytes, valkey: ValkeyProcess, known: int) -> None:
    """Neither kind of connection is made, and nothing is written."""
    with valkey.client() as store:
        before = contents(store)
        with pytest.raises(LayoutError) as error:
            await RedisConnector(valkey.url, EpochGuard(known_layout=known), 5).open()
        assert (error.value.found, error.value.known) == (version.decode(), known)
        client = connect(valkey.url, EpochGuard(known_layout=known), 5)
        with pytest.raises(LayoutError):
            await client.ping()
        await client.aclose()
        assert contents(store) == before


async def test_of_two_releases_that_find_an_empty_redis_at_once_only_one_goes_on(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    versions = [LAYOUT_VERSION, LAYOUT_VERSION + 1] * 8
    connectors = [RedisConnector(valkey.url, EpochGuard(version), 5) for version in versions]
    outcomes = await asyncio.gather(
        *(connector.open() for connector in connectors), return_exceptions=True
    )
    admitted = set()
    for version, outcome in zip(versions, outcomes, strict=True):
        if isinstance(outcome, RedisConnection):
            admitted.add(version)
            await outcome.aclose()
        else:
            assert isinstance(outcome, LayoutError)
    assert {str(version).encode() for version in admitted} == {store.get(LAYOUT_KEY)}
