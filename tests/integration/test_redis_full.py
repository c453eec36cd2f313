"""A Redis that is full makes room by itself, as far as retention allows, and takes sends again."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import redis
from google.rpc import error_details_pb2
from grpc import aio
from structlog.testing import capture_logs

from notecast_runtime.keyspace import log_key, outbox_key, partition_of
from tests.support.health import health_of, wait_until_serving
from tests.support.services import Gateway, from_start, running_gateway, running_history, texts
from tests.support.statuses import detail_of, reason_of
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

BOUND = 9_000_000
"""Bytes; an empty one has some 2 million."""

RETENTION_NOTES = 20
NOTE = "x" * 16_000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """A Redis with little memory, also after it was restarted."""
    bound = ("--maxmemory", str(BOUND), "--maxmemory-policy", "noeviction")
    with ValkeyProcess(tmp_path / "small", bound) as valkey:
        yield valkey


@pytest.fixture
def store(small: ValkeyProcess) -> Iterator[redis.Redis]:
    with small.client() as client:
        yield client


async def fill(gateway: Gateway, room: str) -> int:
    """Sends until Redis is full; returns how many notes were stored."""
    for number in range(2_000):
        try:
            await gateway.send(room, f"{number} {NOTE}")
        except aio.AioRpcError as error:
            if detail_of(error, error_details_pb2.ErrorInfo).metadata != {"cause": "redis_full"}:
                raise
            return number
    raise AssertionError("Redis was never full")


async def stored(gateway: Gateway, room: str, text: str) -> bool:
    try:
        await gateway.send(room, text)
    except aio.AioRpcError as error:
        if reason_of(error) != "WRITES_REFUSED":
            raise
        return False
    return True


def reasons(logs: Sequence[Mapping[str, object]], condition: str) -> set[object]:
    return {line.get("reason", "") for line in logs if line.get("condition") == condition}


def events(logs: Sequence[Mapping[str, object]]) -> set[object]:
    return {line["event"] for line in logs}


async def test_what_is_persisted_makes_room_and_sends_are_taken_again(
    small: ValkeyProcess, store: redis.Redis
) -> None:
    """The outbox alone fills it here: its margin is a minute."""
    async with (
        running_history(small.url, retention_notes=RETENTION_NOTES) as history,
        running_gateway(small.url, history) as gateway,
    ):
        with capture_logs() as logs:
            count = await fill(gateway, "full")
            await eventually(lambda: stored(gateway, "full", "again"), "it is taken", 20)
            for target in (gateway.target, history):
                await wait_until_serving(target)
        assert "redis_full" in reasons(logs, "redis_writes")
        assert "redis_full" not in reasons(logs, "persisting"), "which goes on meanwhile"
        kept = [f"{number} {NOTE}" for number in range(count - RETENTION_NOTES + 1, count)]
        async with gateway.read(from_start("full")) as reader:
            assert texts(await reader.notes(RETENTION_NOTES)) == [*kept, "again"]
        assert store.xlen(log_key("full")) == RETENTION_NOTES


async def test_partitions_that_no_note_comes_to_make_room_too(
    small: ValkeyProcess, store: redis.Redis
) -> None:
    outboxes = [outbox_key(partition_of(room)) for room in ("full", "third")]
    assert len(set(outboxes)) == 2
    async with (
        running_history(small.url, retention_notes=1) as history,
        running_gateway(small.url, history) as gateway,
    ):
        for number in range(150):
            await gateway.send("third", f"{number} {NOTE}")
        await eventually(lambda: store.xlen(log_key("third")) == 1, "it is persisted")
        assert store.xlen(outboxes[1]) > 100
        await fill(gateway, "full")
        await eventually(lambda: sum(map(store.xlen, outboxes)) < 100, "both are trimmed", 20)
        await eventually(lambda: stored(gateway, "full", "again"), "it is taken", 20)


async def test_retention_by_age_goes_on_in_a_full_redis_and_makes_room(
    small: ValkeyProcess, store: redis.Redis
) -> None:
    async with (
        running_history(
            small.url, retention_seconds=2, retention_sweep_seconds=0.2, lease_seconds=0.6
        ) as history,
        running_gateway(small.url, history) as gateway,
    ):
        count = await fill(gateway, "full")
        store.config_set("maxmemory", 4_000_000)  # an empty outbox is not enough any more
        assert not await stored(gateway, "full", "refused")
        await eventually(lambda: stored(gateway, "full", "again"), "it is taken", 20)
        assert store.xlen(log_key("full")) < count


async def test_a_full_redis_that_restarts_is_read_and_recovers(
    small: ValkeyProcess, store: redis.Redis
) -> None:
    """The guard begins its epochs, history takes its leases: all of it with no memory left."""
    async with running_history(small.url) as history:
        pass  # its port is known; what is accepted stays in the outbox
    port = int(history.rpartition(":")[2])
    async with running_gateway(small.url, history) as gateway:
        store.config_set("maxmemory", BOUND + 2_000_000)  # until the restart
        count = await fill(gateway, "full")
        small.kill()
        with capture_logs() as logs:
            small.start()
            assert int(store.info("memory")["used_memory"]) > BOUND
            await eventually(lambda: "redis_run_seen" in events(logs), "a new epoch has begun")
            async with gateway.read("never written to"):
                assert await health_of(gateway.target, "readiness") == "NOT_SERVING"
                assert not await stored(gateway, "full", "refused")
        async with running_history(
            small.url, ready=False, listen_port=port, retention_notes=RETENTION_NOTES
        ) as history:
            await eventually(lambda: stored(gateway, "full", "again"), "it is taken", 20)
            for target in (gateway.target, history):
                await wait_until_serving(target)
            async with gateway.read(from_start("full")) as reader:
                notes = await reader.notes(RETENTION_NOTES)
            assert texts(notes)[-2:] == [f"{count - 1} {NOTE}", "again"]
