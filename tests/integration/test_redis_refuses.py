"""Redis answers and takes no writes: it is said why, in a few lines, and it heals by itself."""

import asyncio
import time
from collections.abc import Mapping, Sequence

import grpc
import pytest
import redis
from google.rpc import error_details_pb2
from grpc import aio
from structlog.testing import capture_logs

from notecast.v1.chat_pb2 import ListNotesRequest
from tests.support.health import wait_for_health, wait_until_serving
from tests.support.services import from_start, running_gateway, running_history, texts
from tests.support.statuses import detail_of, reason_of, retry_delay_ms
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


def reasons(logs: Sequence[Mapping[str, object]], condition: str) -> list[object]:
    """Of each change of a condition; empty where it holds again."""
    return [line.get("reason", "") for line in logs if line.get("condition") == condition]


async def test_while_it_lacks_replicas_reads_go_on_and_nothing_is_in_doubt(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        await gateway.send("lobby", "before")
        with capture_logs() as logs:
            store.config_set("min-replicas-to-write", 1)
            with pytest.raises(aio.AioRpcError) as error:
                await gateway.send("lobby", "refused")
            assert error.value.code() is grpc.StatusCode.UNAVAILABLE
            assert reason_of(error.value) == "WRITES_REFUSED"
            info = detail_of(error.value, error_details_pb2.ErrorInfo)
            assert info.metadata == {"cause": "redis_without_replicas"}
            assert retry_delay_ms(error.value) > 0
            for target in (gateway.target, history):
                await wait_for_health(target, "NOT_SERVING")
            async with gateway.read(from_start("lobby")) as reader:
                assert texts(await reader.notes(1)) == ["before"]
            page = await gateway.stub.ListNotes(ListNotesRequest(room="lobby"))
            assert texts(page.notes) == ["before"]
            both = ["redis_without_replicas"] * 2
            await eventually(lambda: reasons(logs, "redis_writes") == both, "both say why")
            store.config_set("min-replicas-to-write", 0)
            for target in (gateway.target, history):
                await wait_until_serving(target)
        assert reasons(logs, "redis_writes") == [*both, "", ""]
        await gateway.send("lobby", "after")


async def test_one_cause_is_some_lines_however_long_it_lasts_and_however_many_meet_it(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    async with (
        running_history(valkey.url, lease_seconds=0.3) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        with capture_logs() as logs:
            store.config_set("min-replicas-to-write", 1)
            begun = time.monotonic()
            while time.monotonic() - begun < 3:
                with pytest.raises(aio.AioRpcError):
                    await gateway.send("lobby", "refused")
                await asyncio.sleep(0.05)
            assert len(logs) < 10, logs
            store.config_set("min-replicas-to-write", 0)
            await wait_until_serving(history)


async def test_what_redis_forbids_is_told_to_clients_without_users_commands_and_keys(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    store.acl_setuser(
        "ann", enabled=True, passwords=["+word"], keys=["*"], channels=["*"], commands=["+@all"]
    )
    url = f"redis://ann:word@127.0.0.1:{valkey.port}/0"
    async with running_gateway(url) as gateway:
        await gateway.send("lobby", "allowed")
        store.acl_setuser("ann", commands=["-evalsha", "-setrange"])
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.send("lobby", "forbidden")
        assert reason_of(error.value) == "WRITES_REFUSED"
        told = str(error.value.details())
        assert not [word for word in ("ann", "evalsha", "nc:", "script") if word in told]
        await wait_for_health(gateway.target, "NOT_SERVING")
        store.acl_setuser("ann", commands=["+@all"])
        await wait_until_serving(gateway.target)


async def test_a_right_that_is_lacking_amid_a_script_leaves_the_note_in_doubt(
    valkey: ValkeyProcess, store: redis.Redis
) -> None:
    store.acl_setuser(
        "ann", enabled=True, passwords=["+word"], keys=["*"], channels=["*"], commands=["+@all"]
    )
    url = f"redis://ann:word@127.0.0.1:{valkey.port}/0"
    async with running_gateway(url) as gateway:
        store.acl_setuser("ann", commands=["-publish"])
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.send("lobby", "stored, and not told")
        assert reason_of(error.value) == "REDIS_UNAVAILABLE"
        assert "ann" not in str(error.value.details())
