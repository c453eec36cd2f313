"""The history service as a whole: its server, its health, its errors, its process."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import redis
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from history.__main__ import running
from history.retention import AgeRetention
from history.settings import HistorySettings
from notecast.v1.history_pb2 import HistoryServiceListNotesRequest, ReplayRequest
from notecast.v1.history_pb2_grpc import HistoryServiceStub
from notecast_runtime.keyspace import heads_key, log_key, partition_of
from tests.support.history_parts import as_logged, as_replayed, logged
from tests.support.outbox_writer import OutboxWriter
from tests.support.ports import free_port
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

ROOM = "kitchen"
SERVICE = "notecast.v1.HistoryService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def settings(valkey: ValkeyProcess, **more: float) -> HistorySettings:
    return HistorySettings.model_validate(
        {
            "redis_url": valkey.url,
            "redis_timeout_seconds": 1,
            "listen_host": "127.0.0.1",
            "listen_port": 0,
            **more,
        }
    )


@pytest.fixture
async def channel(valkey: ValkeyProcess) -> AsyncIterator[aio.Channel]:
    async with (
        running(settings(valkey)) as port,
        aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield channel


async def health_of(channel: aio.Channel, service: str) -> int:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    return int(answer.status)


async def is_ready(channel: aio.Channel) -> bool:
    return await health_of(channel, "readiness") == SERVING


def details(error: aio.AioRpcError) -> list[Any]:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    kinds = (error_details_pb2.BadRequest, error_details_pb2.RetryInfo, error_details_pb2.ErrorInfo)
    return [
        kind.FromString(detail.value)
        for detail in status.details
        for kind in kinds
        if detail.Is(kind.DESCRIPTOR)
    ]


async def answer_to(
    channel: aio.Channel, request: ReplayRequest | HistoryServiceListNotesRequest
) -> object:
    """The first response to a request of whichever kind."""
    stub = HistoryServiceStub(channel)
    if isinstance(request, ReplayRequest):
        return await stub.Replay(request, timeout=5).read()
    return await stub.ListNotes(request, timeout=5)


async def test_notes_are_replayed_and_listed_over_grpc_before_and_after_persisting(
    channel: aio.Channel, store: redis.Redis, writer: OutboxWriter
) -> None:
    stub = HistoryServiceStub(channel)
    accepted = as_replayed(writer.accept_all(ROOM, [f"{i}" for i in range(20)]))

    async def read() -> None:
        replay = stub.Replay(ReplayRequest(room=ROOM, after=5, through=15), timeout=5)
        responses = [response async for response in replay]
        assert [note for response in responses for note in response.notes] == accepted[5:15]
        assert responses[0].first_remaining == 6
        request = HistoryServiceListNotesRequest(room=ROOM, before=11, page_size=4)
        page = await stub.ListNotes(request, timeout=5)
        assert list(page.notes) == accepted[6:10]
        assert page.has_older

    await read()
    await eventually(lambda: len(logged(store, ROOM)) == 20, "persisted")
    await read()


async def test_a_room_without_notes_still_gets_a_first_response(channel: aio.Channel) -> None:
    replay = HistoryServiceStub(channel).Replay(ReplayRequest(room=ROOM), timeout=5)
    responses = [response async for response in replay]
    assert [(list(r.notes), r.first_remaining) for r in responses] == [([], 1)]


@pytest.mark.parametrize(
    ("request_", "field", "bound"),
    [
        (ReplayRequest(), "room", "1 to 128"),
        (ReplayRequest(room="é" * 65), "room", "130 bytes"),
        (ReplayRequest(room=ROOM, after=5, through=4), "through", "less than after"),
        (HistoryServiceListNotesRequest(page_size=1), "room", "1 to 128"),
        (HistoryServiceListNotesRequest(room=ROOM), "page_size", "1 to 500"),
        (HistoryServiceListNotesRequest(room=ROOM, page_size=501), "page_size", "1 to 500"),
    ],
)
async def test_a_request_beyond_its_bounds_is_told_the_field_and_the_bound(
    channel: aio.Channel,
    request_: ReplayRequest | HistoryServiceListNotesRequest,
    field: str,
    bound: str,
) -> None:
    with pytest.raises(aio.AioRpcError) as refused:
        await answer_to(channel, request_)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    [bad_request] = [
        d for d in details(refused.value) if isinstance(d, error_details_pb2.BadRequest)
    ]
    [violation] = bad_request.field_violations
    assert violation.field == field
    assert bound in violation.description


async def test_readiness_follows_redis_and_liveness_does_not(
    channel: aio.Channel, valkey: ValkeyProcess, store: redis.Redis, writer: OutboxWriter
) -> None:
    await eventually(lambda: is_ready(channel), "ready")
    for name in ("", SERVICE, "liveness"):
        assert await health_of(channel, name) == SERVING
    valkey.kill()
    await eventually(lambda: _not(is_ready(channel)), "not ready")
    for name in ("", SERVICE):
        assert await health_of(channel, name) == NOT_SERVING
    assert await health_of(channel, "liveness") == SERVING
    valkey.start()
    await eventually(lambda: is_ready(channel), "ready again")
    writer.accept(ROOM)
    await eventually(lambda: len(logged(store, ROOM)) == 1, "and persisting")


async def test_a_worker_that_dies_turns_readiness_red_and_comes_back_by_itself(
    channel: aio.Channel, store: redis.Redis, writer: OutboxWriter
) -> None:
    await eventually(lambda: is_ready(channel), "ready")
    store.acl_setuser("default", enabled=True, commands=["-mget"])  # it does not expect that
    await eventually(lambda: _not(is_ready(channel)), "not ready")
    assert await health_of(channel, "liveness") == SERVING
    accepted = [writer.accept(ROOM)]
    store.acl_setuser("default", enabled=True, commands=["+mget"])
    await eventually(lambda: logged(store, ROOM) == as_logged(accepted), "it works again")
    await eventually(lambda: is_ready(channel), "and is ready")


async def _not(answer: Any) -> bool:  # noqa: ANN401 - an awaitable
    return not await answer


@pytest.mark.parametrize("fault", ["gone", "hung"])
async def test_a_read_while_redis_is_away_is_unavailable_with_a_delay_to_retry_after(
    channel: aio.Channel, valkey: ValkeyProcess, fault: str
) -> None:
    valkey.kill() if fault == "gone" else valkey.pause()
    for request in (
        ReplayRequest(room=ROOM),
        HistoryServiceListNotesRequest(room=ROOM, page_size=1),
    ):
        with pytest.raises(aio.AioRpcError) as refused:
            await answer_to(channel, request)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        by_kind = {type(detail): detail for detail in details(refused.value)}
        assert by_kind[error_details_pb2.RetryInfo].retry_delay.ToMilliseconds() > 0
        assert by_kind[error_details_pb2.ErrorInfo].reason == "REDIS_UNAVAILABLE"


async def test_a_fault_inside_says_nothing_about_what_is_inside(
    channel: aio.Channel, store: redis.Redis
) -> None:
    store.set(heads_key(partition_of(ROOM)), "no hash")
    with pytest.raises(aio.AioRpcError) as refused:
        await HistoryServiceStub(channel).Replay(ReplayRequest(room=ROOM), timeout=5).read()
    assert refused.value.code() == grpc.StatusCode.INTERNAL
    assert refused.value.details() == "internal error"


async def test_reflection_names_the_services(channel: aio.Channel) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]
    requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    async for answer in stub.ServerReflectionInfo(requests, timeout=5):
        names = {service.name for service in answer.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names


async def test_it_starts_without_redis_and_serves_once_that_is_there(
    valkey: ValkeyProcess, store: redis.Redis, writer: OutboxWriter
) -> None:
    valkey.kill()
    async with (
        running(settings(valkey)) as port,
        aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        assert await health_of(channel, "liveness") == SERVING
        assert await health_of(channel, "readiness") == NOT_SERVING
        valkey.start()
        writer.accept(ROOM)
        await eventually(lambda: is_ready(channel), "ready")
        await eventually(lambda: len(logged(store, ROOM)) == 1, "persisted")


async def test_old_notes_are_removed_where_retention_by_age_is_on(
    valkey: ValkeyProcess, store: redis.Redis, writer: OutboxWriter
) -> None:
    async with running(settings(valkey, retention_seconds=0.5, retention_sweep_seconds=0.2)):
        writer.accept(ROOM)
        await eventually(lambda: store.exists(log_key(ROOM)), "persisted")
        await eventually(lambda: not store.exists(log_key(ROOM)), "removed")


async def test_a_sweep_that_dies_turns_readiness_red_and_comes_back_by_itself(
    valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping = AgeRetention.sweep

    async def broken(_: AgeRetention, partition: int) -> None:
        raise ArithmeticError(partition)

    retention = settings(valkey, retention_seconds=100, retention_sweep_seconds=1)
    async with (
        running(retention) as port,
        aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        await eventually(lambda: is_ready(channel), "ready")
        monkeypatch.setattr(AgeRetention, "sweep", broken)
        await eventually(lambda: _not(is_ready(channel)), "not ready")
        monkeypatch.setattr(AgeRetention, "sweep", sweeping)
        await eventually(lambda: is_ready(channel), "ready again")


async def test_a_taken_port_ends_the_start_with_exit_code_1(valkey: ValkeyProcess) -> None:
    async with running(settings(valkey)) as port:
        with pytest.raises(SystemExit) as ended:
            async with running(settings(valkey, listen_port=port)):
                pass
    assert ended.value.code == 1


async def test_two_replicas_persist_every_note_once(
    valkey: ValkeyProcess, store: redis.Redis, writer: OutboxWriter
) -> None:
    rooms = [f"room {i}" for i in range(8)]
    async with running(settings(valkey)), running(settings(valkey)):
        for i in range(50):
            for room in rooms:
                writer.accept(room, f"{i}")
        await eventually(lambda: all(len(logged(store, r)) == 50 for r in rooms), "all persisted")
    for room in rooms:
        assert [sequence for sequence, _ in logged(store, room)] == list(range(1, 51))


async def start_process(**environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "history",
        env={**os.environ, **environment},
        cwd=Path("/"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_a_replica_that_is_killed_in_mid_work_costs_no_note(
    valkey: ValkeyProcess, store: redis.Redis, writer: OutboxWriter
) -> None:
    environment = {
        "NOTECAST_REDIS_URL": valkey.url,
        "NOTECAST_LISTEN_HOST": "127.0.0.1",
        "NOTECAST_LISTEN_PORT": "0",
        "NOTECAST_PERSIST_BATCH": "5",  # many batches, so that it is killed between two
    }
    accepted = writer.accept_all(ROOM, [f"before {i}" for i in range(5000)])
    process = await start_process(**environment)
    try:
        await eventually(lambda: store.xlen(log_key(ROOM)) > 100, "it persists", 20)
        process.kill()
        await process.communicate()
        assert store.xlen(log_key(ROOM)) < 5000, "it was not done"
        accepted += writer.accept_all(ROOM, [f"meanwhile {i}" for i in range(100)])
        process = await start_process(**environment)
        await eventually(lambda: store.xlen(log_key(ROOM)) == 5100, "the next one goes on", 20)
    finally:
        process.kill()
        await process.communicate()
    assert logged(store, ROOM) == as_logged(accepted)


async def test_it_ends_within_seconds_also_while_redis_hangs(valkey: ValkeyProcess) -> None:
    async with asyncio.timeout(10):
        async with running(settings(valkey)) as port:
            async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await eventually(lambda: is_ready(channel), "ready")
            valkey.pause()
            begin = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begin < 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_process_within_seconds(
    valkey: ValkeyProcess, number: signal.Signals
) -> None:
    port = free_port()
    process = await start_process(
        NOTECAST_REDIS_URL=valkey.url,
        NOTECAST_LISTEN_HOST="127.0.0.1",
        NOTECAST_LISTEN_PORT=str(port),
    )
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service="liveness")
            await stub.Check(request, timeout=20, wait_for_ready=True)
            await eventually(lambda: is_ready(channel), "ready")
            process.send_signal(number)
        async with asyncio.timeout(4):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors


async def test_a_wrong_setting_ends_the_process_naming_variable_value_and_bound() -> None:
    process = await start_process(NOTECAST_RETENTION_NOTES="0")
    async with asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode == 2
    for word in (b"NOTECAST_RETENTION_NOTES", b"'0'", b"at least 1"):
        assert word in errors
