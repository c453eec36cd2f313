"""A failover leaves the old primary's connections open: they are left, and all goes on."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from notecast.v1.note_pb2 import Note
from notecast_runtime.keyspace import log_key, outbox_key, partition_of
from tests.support.failover import Pair, replicated
from tests.support.health import wait_for_health, wait_until_serving
from tests.support.services import Gateway, running_gateway, running_history, texts
from tests.support.statuses import reason_of
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with replicated(tmp_path) as pair:
        yield pair


FOLLOWED_SECONDS = 3
"""As promised: so long an address that was turned may go unnoticed."""


def outbox(valkey: ValkeyProcess) -> list[str]:
    """The lobby's notes, as they were accepted."""
    with valkey.client() as redis:
        entries = redis.xrange(outbox_key(partition_of("lobby")))
    return [Note.FromString(fields[b"n"]).text for _, fields in entries]


async def stored(gateway: Gateway, text: str) -> bool:
    try:
        await gateway.send("lobby", text, deadline_seconds=2)
    except aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    return True


async def test_sends_work_again_within_two_seconds_and_an_open_stream_gets_them(
    pair: Pair,
) -> None:
    async with (
        running_gateway(pair.url) as gateway,
        running_gateway(pair.url) as other,
        gateway.read("lobby") as reader,
    ):
        await gateway.send("lobby", "before")
        assert texts(await reader.notes(1)) == ["before"]
        with capture_logs() as logs:
            pair.promote_replica()
            begun = time.monotonic()
            await eventually(lambda: stored(gateway, "after"), "a send is stored")
            assert time.monotonic() - begun < 2
        await eventually(lambda: stored(other, "other"), "the other gateway's, too")
        assert texts(await reader.notes(2)) == ["after", "other"]
        await wait_until_serving(gateway.target)
        lost = [line for line in logs if line["event"] == "redis_primary_lost"]
        assert [line["reason"] for line in lost][:1] == ["redis_read_only"]
        assert "READONLY" in lost[0]["error"]


async def test_an_old_primary_that_still_takes_writes_is_left_soon_though_no_connection_ends(
    pair: Pair,
) -> None:
    """Nobody else would ever see what is sent there, and all would look well."""
    async with (
        running_history(pair.url) as history,
        running_gateway(pair.url, history) as gateway,
        gateway.read("lobby") as reader,
    ):
        await gateway.send("lobby", "before")
        assert texts(await reader.notes(1)) == ["before"]
        with capture_logs() as logs:
            pair.promote_replica(demotes=False)
            begun = time.monotonic()
            texts_there = [f"{number}" for number in range(1_000)]

            async def is_there() -> bool:
                text = texts_there.pop()
                await stored(gateway, text)
                return text in outbox(pair.primary)

            await eventually(is_there, "a note is sent to the new primary")
            with pair.primary.client() as redis:
                await eventually(
                    lambda: redis.xlen(log_key("lobby")) >= 2, "history has left the old one, too"
                )
            assert time.monotonic() - begun < FOLLOWED_SECONDS
        lost = [line["reason"] for line in logs if line["event"] == "redis_primary_lost"]
        assert set(lost) == {"redis_moved"}
        await gateway.send("lobby", "heard")
        while (await reader.kinds(1)) != ["heard"]:
            pass


async def test_a_gateway_that_only_listens_notices_it_too(pair: Pair) -> None:
    async with running_gateway(pair.url) as idle, idle.read("lobby") as reader:
        pair.promote_replica()
        async with running_gateway(pair.url) as fresh:
            await fresh.send("lobby", "heard")
            assert texts(await reader.notes(1)) == ["heard"]


async def test_until_the_address_follows_nothing_is_stored_and_nobody_is_left_in_doubt(
    pair: Pair,
) -> None:
    async with running_history(pair.url) as history, running_gateway(pair.url) as gateway:
        with capture_logs() as logs:
            pair.promote_replica(address_follows=False)
            for target in (gateway.target, history):
                await wait_for_health(target, "NOT_SERVING")
            begun = time.monotonic()
            for _ in range(5):
                with pytest.raises(aio.AioRpcError) as error:
                    await gateway.send("lobby", "refused", deadline_seconds=2)
                assert error.value.code() is grpc.StatusCode.UNAVAILABLE
                assert reason_of(error.value) == "WRITES_REFUSED"
                assert "nothing was stored" in str(error.value.details())
                await asyncio.sleep(0.2)
            seconds = time.monotonic() - begun
        why = {line.get("reason") for line in logs if line["event"] == "condition_changed"}
        assert "redis_read_only" in why
        assert len(logs) < 40 + seconds, "some lines for one cause, and not for each attempt"
        pair.turn_address()
        await eventually(lambda: stored(gateway, "after"), "a send is stored")
        for target in (gateway.target, history):
            await wait_until_serving(target)
        with pair.primary.client() as redis:
            await eventually(lambda: redis.xlen(log_key("lobby")) == 1, "it is persisted")
