"""A history replica that is told to end: readers and the other replicas notice nothing."""

import asyncio
import signal
from typing import Any

import pytest
import redis
from grpc import aio

from notecast.v1.chat_pb2 import ListNotesRequest
from notecast.v1.history_pb2 import ReplayRequest, ReplayResponse
from notecast.v1.history_pb2_grpc import HistoryServiceStub
from notecast_runtime.keyspace import PARTITIONS
from tests.support.health import health_of, wait_until_serving
from tests.support.history_parts import as_logged, logged
from tests.support.history_replicas import HistoryReplica, held_by, lease_holders
from tests.support.outbox_writer import OutboxWriter
from tests.support.services import running_gateway
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

ROOM = "kitchen"
LARGE = 16_384


async def stopped(replica: HistoryReplica) -> int:
    """Ends it in an orderly way; returns its exit code."""
    return await asyncio.to_thread(replica.stop)


async def test_its_leases_are_free_when_it_has_ended_and_another_has_them_at_once(
    valkey: ValkeyProcess, store: redis.Redis, writer: OutboxWriter
) -> None:
    long: dict[str, Any] = {"lease_seconds": 60}
    with HistoryReplica(valkey, **long) as gone:
        await eventually(lambda: len(held_by(store, gone.pid)) == PARTITIONS, "it holds all", 20)
        accepted = [writer.accept(ROOM, f"{number}") for number in range(100)]
        assert await stopped(gone) == 0
        assert lease_holders(store) == {}
    with HistoryReplica(valkey, **long) as heir:
        await eventually(lambda: len(held_by(store, heir.pid)) == PARTITIONS, "it has all", 20)
        accepted += [writer.accept(ROOM, f"{number}") for number in range(100)]
        await eventually(lambda: logged(store, ROOM) == as_logged(accepted), "all is persisted")


async def test_a_replay_in_flight_is_finished(valkey: ValkeyProcess, writer: OutboxWriter) -> None:
    notes = 1_000
    writer.accept_all(ROOM, ["x" * LARGE] * notes)
    with HistoryReplica(valkey, shutdown_grace_seconds=30) as replica:
        await wait_until_serving(replica.target, seconds=20)
        async with aio.insecure_channel(replica.target) as channel:
            call = HistoryServiceStub(channel).Replay(ReplayRequest(room=ROOM))
            first: Any = await call.read()
            ending = asyncio.create_task(stopped(replica))
            await eventually(lambda: _refuses(replica.target), "it takes no more")
            read = [note.sequence for note in first.notes]
            while isinstance(part := await call.read(), ReplayResponse):
                read += [note.sequence for note in part.notes]
        assert read == [*range(1, notes + 1)]
        assert await ending == 0


async def _refuses(target: str) -> bool:
    return await health_of(target) in {"UNAVAILABLE", "CANCELLED"}


async def test_a_second_signal_ends_it_at_once(valkey: ValkeyProcess, writer: OutboxWriter) -> None:
    writer.accept_all(ROOM, ["x" * LARGE] * 1_000)
    with HistoryReplica(valkey, shutdown_grace_seconds=60) as replica:
        await wait_until_serving(replica.target, seconds=20)
        async with aio.insecure_channel(replica.target) as channel:
            call = HistoryServiceStub(channel).Replay(ReplayRequest(room=ROOM))
            await call.read()  # and nothing more: it would wait for this client
            ending = asyncio.create_task(stopped(replica))
            await eventually(lambda: _refuses(replica.target), "it takes no more")
            assert not ending.done()
            replica.send(signal.SIGTERM)
            assert await ending == 128 + signal.SIGTERM
            call.cancel()


@pytest.mark.parametrize("fault", ["stopped", "killed"])
async def test_readers_notice_nothing_of_a_replica_that_ends(
    valkey: ValkeyProcess, fault: str
) -> None:
    with HistoryReplica(valkey) as stays, HistoryReplica(valkey) as ends:
        for replica in (stays, ends):
            await wait_until_serving(replica.target, seconds=20)
        pages, going_on = 0, True
        targets = f"ipv4:{stays.target},{ends.target}"
        async with running_gateway(valkey.url, targets) as gateway:
            await gateway.send(ROOM, "hello")

            async def page() -> None:
                nonlocal pages
                while going_on:
                    await gateway.stub.ListNotes(ListNotesRequest(room=ROOM), timeout=10)
                    pages += 1

            async def many_more() -> None:
                begun = pages
                await eventually(lambda: pages > begun + 500, "pages are read")

            paging = [asyncio.create_task(page()) for _ in range(32)]
            await many_more()
            await asyncio.to_thread({"stopped": ends.stop, "killed": ends.kill}[fault])
            await many_more()
            going_on = False
            await asyncio.gather(*paging)  # raises what failed
