"""Data of layout 1 are carried over whole, however often that is interrupted."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from notecast.v1.chat_pb2 import RoomSubscription, SendNoteRequest, SendNoteResponse
from notecast_runtime.keyspace import (
    LAYOUT_KEY,
    epoch_key,
    log_key,
    partition_of,
    sent_key,
    trims_key,
)
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.layout import EXIT_CODE, MIGRATION, LayoutError
from notecast_runtime.redis.migration import RECORD_KEY, Migration, MigrationError, Report
from tests.support.first_layout import FIRST, put_back_to_first_layout
from tests.support.outbox_writer import OutboxWriter
from tests.support.ports import free_port
from tests.support.service_process import service_process
from tests.support.services import Gateway, from_start, running_gateway, running_history, texts
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

ROOMS = [f"room-{number}" for number in range(20)]


def command(valkey: ValkeyProcess) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "notecast_runtime.migrate"],
        env=os.environ | {"NOTECAST_REDIS_URL": valkey.url},
        stderr=subprocess.PIPE,
    )


def run_command(valkey: ValkeyProcess) -> tuple[int, dict[str, Any]]:
    """Its exit code, and the last line that it logs."""
    process = command(valkey)
    _, log = process.communicate(timeout=60)
    return process.returncode, json.loads(log.splitlines()[-1])


@asynccontextmanager
async def migration(valkey: ValkeyProcess, report: Report) -> AsyncIterator[Migration]:
    """In pages so small that many come of little."""
    client = Redis.from_url(valkey.url, single_connection_client=True)
    async with client:
        yield Migration(client, report, page_keys=10)


def request(room: str, number: int) -> SendNoteRequest:
    return SendNoteRequest(room=room, author="ann", text=f"n{number}", note_id=f"{room}-{number}")


async def send(gateway: Gateway, numbers: range) -> dict[tuple[str, int], SendNoteResponse]:
    answers = {}
    for number in numbers:
        sends = (gateway.stub.SendNote(request(room, number), timeout=10) for room in ROOMS)
        for room, answer in zip(ROOMS, await asyncio.gather(*sends), strict=True):
            answers[room, number] = answer
    return answers


async def test_services_serve_all_that_a_release_of_layout_1_wrote(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    async with running_history(valkey.url), running_gateway(valkey.url) as gateway:
        sent = await send(gateway, range(1, 4))
        await eventually(
            lambda: all(store.xlen(log_key(r)) == 3 for r in ROOMS), "history has persisted"
        )
    valkey.kill()
    valkey.start()  # another epoch begins
    async with running_gateway(valkey.url) as gateway:  # without history: these stay in the outbox
        sent |= await send(gateway, range(4, 6))
    put_back_to_first_layout(store)
    for service in ("chat_gateway", "history"):
        async with service_process(service, valkey.url) as process:
            assert (await process.ends()).code == EXIT_CODE
    assert store.get(LAYOUT_KEY) == FIRST

    code, said = run_command(valkey)

    assert (code, said["event"], said["layout"]) == (0, "migrated", 2)
    assert said["holds"]["expiring"] == len(sent)
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        for each, first in sent.items():
            again = await gateway.stub.SendNote(request(*each), timeout=10)
            assert again.duplicate
            assert again.cursor == first.cursor
        for room in ROOMS:
            async with gateway.read(from_start(room)) as reader:
                assert texts(await reader.notes(5)) == ["n1", "n2", "n3", "n4", "n5"]
            cursor = sent[room, 2].cursor  # of the epoch before
            async with gateway.read(RoomSubscription(room=room, after=cursor)) as reader:
                assert await reader.kinds(4) == ["n3", "n4", "n5", "caught_up"]
            assert (await gateway.send(room, "on")).cursor.sequence == 6


@pytest.fixture
def first_layout(store: redis.Redis, writer: OutboxWriter) -> dict[bytes, bytes]:
    """Some data of layout 1; gives what they are to be in layout 2."""
    for room in ROOMS:
        writer.accept_all(room, ["one", "two", "three"])
        store.set(epoch_key(partition_of(room)), 1_700_000_000_000)
        store.rpush(trims_key(partition_of(room)), "1700000000000 1-0")
        for sequence in (1, 2):
            store.xadd(log_key(room), {"n": "a note"}, id=f"{sequence}-0")
        for note_id in ("a", "b"):
            store.hset(sent_key(room, note_id), mapping={"e": "1", "s": "1"})
            store.pexpire(sent_key(room, note_id), 300_000)
    wanted = contents(store)
    put_back_to_first_layout(store)
    return wanted


def contents(store: redis.Redis) -> dict[bytes, bytes]:
    """All that Redis holds but the layout's key; the dump of a key says nothing of its expiry."""
    keys = [key for key in store.scan_iter() if key != LAYOUT_KEY.encode()]
    return {key: store.dump(key) or b"" for key in keys}


def is_refused(valkey: ValkeyProcess) -> None:
    """Services of either release are, and write nothing."""
    for known in (1, 2):
        connector = RedisConnector(valkey.url, EpochGuard(known_layout=known), 5)
        with pytest.raises(LayoutError):
            asyncio.run(connector.open())


class KilledError(Exception):
    """In the place of a SIGKILL."""


async def test_it_may_be_killed_at_any_point_and_is_run_again(
    valkey: ValkeyProcess, store: redis.Redis, first_layout: dict[bytes, bytes]
) -> None:
    done: set[str] = set()
    for step in range(1_000):
        store.flushall()
        for key, value in first_layout.items():
            store.restore(key, 300_000 if b":sent:" in key else 0, value)
        put_back_to_first_layout(store)
        seen: list[str] = []

        def report(what: str, _: int, seen: list[str] = seen, step: int = step) -> None:
            seen.append(what)
            if len(seen) > step:
                raise KilledError

        try:
            async with migration(valkey, report) as subject:
                await subject.run()
            break
        except KilledError:
            done.add(seen[-1])
        assert store.get(LAYOUT_KEY) == MIGRATION.encode()
        await asyncio.to_thread(is_refused, valkey)
        async with migration(valkey, lambda *_: None) as subject:
            await subject.run()
        assert contents(store) == first_layout
        assert store.get(LAYOUT_KEY) == b"2"
        assert 0 < store.pttl(sent_key(ROOMS[0], "a")) <= 300_000
    assert done == {"counted", "renamed", "checked"}
    assert contents(store) == first_layout


async def test_a_process_that_was_killed_leaves_what_the_next_one_finishes(
    valkey: ValkeyProcess, store: redis.Redis, first_layout: dict[bytes, bytes]
) -> None:
    process = command(valkey)
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line).get("step") == "renamed":
            process.kill()
            break
    process.communicate()
    code, said = run_command(valkey)
    assert code == 0
    assert said["event"] in {"migrated", "nothing_to_migrate"}  # or the first was too quick
    assert contents(store) == first_layout


@pytest.mark.usefixtures("first_layout")
async def test_connections_that_were_open_before_it_began_are_ended(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    def at_once(*_: object) -> None:
        raise KilledError

    async with RedisConnector(valkey.url, EpochGuard(known_layout=1), 5).connected() as connection:
        await connection.ask([("PING",)])
        with pytest.raises(KilledError):
            async with migration(valkey, at_once) as subject:
                await subject.run()
        with pytest.raises((RedisConnectionError, OSError)):
            await connection.ask([("SET", "nc:{17}:epoch", "1")])
    assert store.get(LAYOUT_KEY) == MIGRATION.encode()


@pytest.mark.parametrize("what", ["notes", "rooms", "epochs"])
async def test_what_went_missing_on_the_way_is_noticed_at_the_end(
    what: str, valkey: ValkeyProcess, store: redis.Redis, first_layout: dict[bytes, bytes]
) -> None:
    def lose(step: str, _: int) -> None:
        if step != "renamed" or store.exists("spoilt"):
            return
        ending = {"notes": b":log:room-8", "rooms": b":head", "epochs": b":epoch"}[what]
        key = next((k for k in first_layout if k.endswith(ending) and store.exists(k)), None)
        if key is None:
            return
        if what == "notes":
            store.xtrim(key, 1, approximate=False)
        elif what == "rooms":
            store.hdel(key, store.hkeys(key)[0])
        else:
            store.incr(key)
        store.set("spoilt", 1)

    for _ in range(2):  # it stays refused
        async with migration(valkey, lose) as subject:
            with pytest.raises(MigrationError, match=what):
                await subject.run()
        assert store.get(LAYOUT_KEY) == MIGRATION.encode()


async def test_what_stands_in_the_way_is_left_and_named(
    valkey: ValkeyProcess, store: redis.Redis, first_layout: dict[bytes, bytes]
) -> None:
    store.set(log_key(ROOMS[0]), "of others")
    code, said = run_command(valkey)
    assert (code, said["event"]) == (1, "migration_refused")
    assert log_key(ROOMS[0]) in said["reason"]
    assert store.get(log_key(ROOMS[0])) == b"of others"
    store.delete(log_key(ROOMS[0]))
    assert run_command(valkey)[0] == 0
    assert contents(store) == first_layout


async def test_data_of_before_there_was_a_number_are_carried_over_too(
    valkey: ValkeyProcess, store: redis.Redis, first_layout: dict[bytes, bytes]
) -> None:
    store.delete(LAYOUT_KEY)
    store.set("nc:{17}:run", "a run of Redis")
    assert run_command(valkey)[0] == 0
    assert store.get(LAYOUT_KEY) == b"2"
    assert len(contents(store)) == len(first_layout) + 1
    assert not store.exists(RECORD_KEY)


async def test_what_is_no_layout_1_is_left_as_it_is(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    assert run_command(valkey)[1]["event"] == "migration_refused", "there is nothing here"
    assert store.keys() == []
    store.set(LAYOUT_KEY, "3")
    assert run_command(valkey)[0] == 1
    assert store.get(LAYOUT_KEY) == b"3"
    store.set(LAYOUT_KEY, "2")
    code, said = run_command(valkey)
    assert (code, said["event"]) == (0, "nothing_to_migrate")


def test_a_cluster_is_refused(tmp_path: Path) -> None:
    arguments = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    with ValkeyProcess(tmp_path / "cluster", arguments) as node:
        code, said = run_command(node)
    assert (code, said["event"]) == (1, "migration_refused")
    assert "Cluster" in said["reason"]
