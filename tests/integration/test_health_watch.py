"""`grpc.health.v1.Health` of both services, and that no watcher can hold them up."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import (  # type: ignore[attr-defined]  # the stubs know no List
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
)

from notecast.v1.note_pb2 import Note
from notecast_runtime.keyspace import heads_key, outbox_key, partition_of
from tests.support import raw_http2 as raw
from tests.support.health import wait_for_health, wait_until_serving
from tests.support.services import running_gateway, running_history
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
WATCHERS = 5


@asynccontextmanager
async def serving(which: str, valkey: ValkeyProcess) -> AsyncIterator[str]:
    """A gateway, or a history service."""
    if which == "gateway":
        async with running_gateway(valkey.url) as gateway:
            yield gateway.target
    else:
        async with running_history(valkey.url) as target:
            yield target


@contextmanager
def unread_watches(target: str) -> Iterator[raw.RawConnection]:
    """A client that watches readiness by windows of 0 octets, and reads nothing."""
    with raw.RawConnection(int(target.rpartition(":")[2])) as client:
        client.open((raw.INITIAL_WINDOW_SIZE, 0))
        for stream_id in range(1, 2 * WATCHERS, 2):
            asked = HealthCheckRequest(service="readiness").SerializeToString()
            client.send(
                raw.headers(stream_id, raw.request("/grpc.health.v1.Health/Watch"))
                + raw.data(stream_id, raw.message(asked), end=True)
            )
        yield client


async def begun(client: raw.RawConnection) -> None:
    """Returns once every watch has its response headers."""
    answered: set[int] = set()

    def all_answered() -> bool:
        answered.update(f.stream_id for f in client.frames() if f.kind == raw.HEADERS)
        return len(answered) == WATCHERS

    await eventually(all_answered, "every watch has begun")


@pytest.mark.parametrize("which", ["gateway", "history"])
async def test_watchers_that_read_nothing_hold_up_no_change_of_readiness(
    which: str, valkey: ValkeyProcess
) -> None:
    async with serving(which, valkey) as target:
        with unread_watches(target) as client:
            await begun(client)
            for _ in range(2):
                valkey.pause()
                await wait_for_health(target, "NOT_SERVING")
                valkey.resume()
                await wait_until_serving(target)


async def test_a_lost_note_is_found_although_watchers_read_nothing(valkey: ValkeyProcess) -> None:
    async with running_gateway(valkey.url) as gateway, gateway.read("den") as reader:
        first = (await gateway.send("den", "heard")).cursor
        await reader.notes(1)
        with unread_watches(gateway.target) as client:
            await begun(client)
            valkey.pause()
            await wait_for_health(gateway.target, "NOT_SERVING")
            valkey.resume()
            await wait_until_serving(gateway.target)
            accept_unheard(valkey, "den", first.epoch)
            (note,) = await reader.notes(1)
            assert note.text == "unheard"


def accept_unheard(valkey: ValkeyProcess, room: str, epoch: int) -> None:
    """Puts a note into a room as the gateway's script does, and has its message lost."""
    partition = partition_of(room)
    with valkey.client() as store:
        sequence = store.hincrby(heads_key(partition), room, 1)
        note = Note(room=room, note_id="x", author="ann", text="unheard").SerializeToString()
        store.xadd(outbox_key(partition), {"r": room, "e": epoch, "s": sequence, "n": note})


@pytest.mark.parametrize("which", ["gateway", "history"])
async def test_a_watcher_that_reads_is_told_each_change(which: str, valkey: ValkeyProcess) -> None:
    async with serving(which, valkey) as target, watching(target, "readiness") as watch:
        assert await status(watch) == SERVING
        valkey.pause()
        assert await status(watch) == NOT_SERVING
        valkey.resume()
        assert await status(watch) == SERVING


async def test_a_name_that_nobody_knows_is_not_found_and_watched_as_unknown(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url) as gateway:
        stub: Any = health_pb2_grpc.HealthStub(gateway.channel)
        with pytest.raises(aio.AioRpcError) as error:
            await stub.Check(HealthCheckRequest(service="nobody"), timeout=5)
        assert error.value.code() is grpc.StatusCode.NOT_FOUND
        async with watching(gateway.target, "nobody") as watch:
            assert await status(watch) == HealthCheckResponse.SERVICE_UNKNOWN
        listed = await stub.List(HealthListRequest(), timeout=5)
        assert {name: each.status for name, each in listed.statuses.items()} == dict.fromkeys(
            ("", "liveness", "readiness", "notecast.v1.ChatService", "grpc.ChatServer"), SERVING
        )


@pytest.mark.parametrize("which", ["gateway", "history"])
async def test_watches_end_with_the_service_and_do_not_keep_it(
    which: str, valkey: ValkeyProcess
) -> None:
    async with serving(which, valkey) as target:
        channel = aio.insecure_channel(target)
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(HealthCheckRequest(service="readiness"))
        assert await status(watch) == SERVING
    async with asyncio.timeout(20):
        with pytest.raises(aio.AioRpcError) as error:
            await read_to_the_end(watch)
    assert "another one serves" in str(error.value.details())
    await channel.close()


@asynccontextmanager
async def watching(target: str, service: str) -> AsyncIterator[Any]:
    async with aio.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        yield stub.Watch(HealthCheckRequest(service=service), timeout=20)


async def status(watch: Any) -> int:  # noqa: ANN401 - the type stubs know no methods
    """The next status that a watcher is told; AioRpcError where it is told no more."""
    async with asyncio.timeout(20):
        return int((await watch.read()).status)


async def read_to_the_end(watch: Any) -> None:  # noqa: ANN401 - as above
    while True:
        assert await status(watch) == NOT_SERVING
