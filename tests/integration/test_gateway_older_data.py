"""The same run of Redis comes back with older data: whoever saw what is lost is told."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from grpc import aio

from notecast.v1.note_pb2 import Note
from notecast_runtime.keyspace import outbox_key, partition_of
from tests.chaos.proxy import Proxy
from tests.support.health import wait_until_serving
from tests.support.history_parts import REMOVING, is_forgotten, neighbour_of
from tests.support.services import Gateway, Reader, behind, running_gateway, running_history, texts
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


@pytest.fixture
def other_valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """Another Valkey, which replicates or is replicated."""
    with ValkeyProcess(tmp_path / "other-valkey") as process:
        yield process


def last_entry(valkey: ValkeyProcess) -> bytes:
    """The newest id of the lobby's outbox."""
    with valkey.client() as redis:
        entries = redis.xrevrange(outbox_key(partition_of("lobby")), count=1)
        return entries[0][0] if entries else b""


async def replicate(source: ValkeyProcess, replica: ValkeyProcess) -> None:
    """Copies the other one's data into a Valkey that goes on with them by itself."""
    with replica.client() as redis:
        redis.execute_command("REPLICAOF", "127.0.0.1", source.port)

        async def has_all() -> bool:
            in_step = redis.info("replication")["master_link_status"] == "up"
            return in_step and last_entry(replica) == last_entry(source)

        await eventually(has_all, "the replica has the data")
        redis.execute_command("REPLICAOF", "NO", "ONE")


async def turn(proxy: Proxy, valkey: ValkeyProcess, *gateways: Gateway) -> None:
    """Turns the address to another Valkey, and returns when the gateways are there."""
    proxy.lead_to(valkey.port)
    proxy.cut()
    for gateway in gateways:
        await sent_when_back(gateway, "elsewhere", "a note that shows that it serves again")


async def sent_when_back(gateway: Gateway, room: str, text: str) -> None:
    """Sends a note once Redis is there again."""

    async def sent() -> bool:
        try:
            await gateway.send(room, text)
        except aio.AioRpcError:
            return False
        return True

    await eventually(sent, f"{text} is sent")


async def test_a_reader_that_saw_what_a_failback_to_the_old_primary_has_lost_is_told(
    valkey: ValkeyProcess, other_valkey: ValkeyProcess
) -> None:
    async with (
        Proxy(valkey.port) as proxy,
        running_history(proxy.redis_url) as history,
        running_gateway(proxy.redis_url, history) as gateway,
        gateway.read("lobby") as reader,
    ):
        for number in range(1, 4):
            await gateway.send("lobby", f"kept{number}")
        await replicate(valkey, other_valkey)
        await turn(proxy, other_valkey, gateway)
        for number in range(4, 7):
            await gateway.send("lobby", f"lost{number}")
        last = (await reader.notes(6))[-1]
        await turn(proxy, valkey, gateway)
        for number in range(4, 9):
            await gateway.send("lobby", f"new{number}")
        told = (await reader.event()).discontinuity
        assert (told.after.epoch, told.after.sequence) == (last.epoch, 6)
        assert told.resumes_at.sequence == 4
        assert told.resumes_at.epoch > last.epoch
        new = [f"new{number}" for number in range(4, 9)]
        assert texts(await reader.notes(5)) == new
        async with gateway.read(behind(last)) as resumed:
            assert await resumed.kinds(7) == ["discontinuity", *new, "caught_up"]


async def test_a_lost_note_of_an_empty_room_is_told_though_the_old_primary_has_taken_none_since(
    valkey: ValkeyProcess, other_valkey: ValkeyProcess
) -> None:
    """Another room has left it meanwhile: the sequence of the lost note counts as passed there."""
    neighbour = neighbour_of("lobby")
    async with (
        Proxy(valkey.port) as proxy,
        running_history(proxy.redis_url) as history,
        running_gateway(proxy.redis_url, history) as gateway,
        gateway.read("lobby") as reader,
    ):
        async with running_history(valkey.url, **REMOVING):
            await gateway.send(neighbour, "theirs")
            await replicate(valkey, other_valkey)
            await turn(proxy, other_valkey, gateway)
            await gateway.send("lobby", "lost")
            last = (await reader.notes(1))[-1]
            with valkey.client() as left:
                await is_forgotten(left, neighbour)
        valkey.stop()
        valkey.start()
        await turn(proxy, valkey, gateway)
        await gateway.send("lobby", "new")
        told = (await reader.event()).discontinuity
        assert (told.after.epoch, told.after.sequence) == (last.epoch, last.sequence)
        assert texts(await reader.notes(1)) == ["new"]
        async with gateway.read(behind(last)) as resumed:
            assert await resumed.kinds(3) == ["discontinuity", "new", "caught_up"]


async def test_a_log_that_began_in_an_empty_redis_has_nothing_in_common_with_the_old_one(
    valkey: ValkeyProcess, other_valkey: ValkeyProcess
) -> None:
    """Its notes have the sequences of the old one's, so no sequence tells them apart."""
    async with (
        Proxy(valkey.port) as proxy,
        running_history(proxy.redis_url) as history,
        running_gateway(proxy.redis_url, history) as gateway,
        gateway.read("lobby") as reader,
    ):
        for number in range(1, 4):
            await gateway.send("lobby", f"old{number}")
        await reader.notes(3)
        await turn(proxy, other_valkey, gateway)
        for number in range(1, 4):
            await gateway.send("lobby", f"lost{number}")
        assert (await reader.event()).discontinuity.resumes_at.sequence == 1
        last = (await reader.notes(3))[-1]
        await turn(proxy, valkey, gateway)
        await gateway.send("lobby", "new4")
        told = (await reader.event()).discontinuity
        assert (told.after.epoch, told.after.sequence) == (last.epoch, 3)
        assert told.resumes_at.sequence == 1
        log = ["old1", "old2", "old3", "new4"]
        assert texts(await reader.notes(4)) == log
        async with gateway.read(behind(last)) as resumed:
            assert await resumed.kinds(6) == ["discontinuity", *log, "caught_up"]


async def test_a_reader_that_saw_what_a_replicated_backup_lost_is_told_though_no_connection_ended(
    valkey: ValkeyProcess, other_valkey: ValkeyProcess
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        running_gateway(valkey.url, history) as without_readers,
        gateway.read("lobby") as reader,
    ):
        for number in range(1, 4):
            await gateway.send("lobby", f"kept{number}")
        await replicate(valkey, other_valkey)
        for number in range(4, 7):
            await gateway.send("lobby", f"lost{number}")
        last = (await reader.notes(6))[-1]
        await replicate(other_valkey, valkey)
        # By a gateway that has seen nothing of what is lost, as many as that and more.
        for number in range(4, 9):
            await sent_when_back(without_readers, "lobby", f"new{number}")
        while (event := await reader.event()).WhichOneof("kind") != "discontinuity":
            assert event.note.sequence > 6  # it was taken for the next one
        assert event.discontinuity.resumes_at.sequence == 4
        assert event.discontinuity.resumes_at.epoch > last.epoch
        assert texts(await reader.notes(5)) == [f"new{number}" for number in range(4, 9)]
        async with without_readers.read(behind(last)) as resumed:
            assert (await resumed.event()).discontinuity.resumes_at.sequence == 4


async def test_a_reader_that_is_shown_nothing_after_a_replicated_backup_is_told_as_well(
    valkey: ValkeyProcess, other_valkey: ValkeyProcess
) -> None:
    async with (
        running_gateway(valkey.url) as gateway,
        gateway.read("lobby") as reader,
    ):
        await gateway.send("lobby", "kept")
        await replicate(valkey, other_valkey)
        await gateway.send("lobby", "lost")
        last = (await reader.notes(2))[-1]
        await replicate(other_valkey, valkey)
        told = (await reader.event()).discontinuity
        assert (told.after.sequence, told.resumes_at.sequence) == (last.sequence, 2)


class Parted(NamedTuple):
    """Two gateways at two primaries, each with a reader. The logs have three notes in common."""

    proxy: Proxy
    staying: Gateway
    """It is at the old primary."""
    moving: Gateway
    """It is at the new one, where it has accepted three notes more."""
    stayed: Reader
    moved: Reader
    last_lost: Note

    async def come_together(self, old: ValkeyProcess) -> None:
        """Turns the moving gateway back, sends `new9`, and checks what readers are told.

        Where the new primary had three notes, the old one has `new4` to `new9`.
        """
        await turn(self.proxy, old, self.moving)
        await wait_until_serving(self.moving.target)
        await self.staying.send("lobby", "new9")
        new = [f"new{number}" for number in range(4, 10)]
        assert (await self.moved.event()).discontinuity.resumes_at.sequence == 4
        assert texts(await self.moved.notes(6)) == new
        for gateway in (self.staying, self.moving):
            async with gateway.read(behind(self.last_lost)) as resumed:
                assert (await resumed.event()).discontinuity.resumes_at.sequence == 4
                assert texts(await resumed.notes(6)) == new


@asynccontextmanager
async def parted(old: ValkeyProcess, new: ValkeyProcess) -> AsyncIterator[Parted]:
    """Starts two gateways, of which one follows a failover and the other one stays."""
    async with (
        Proxy(old.port) as proxy,
        running_gateway(old.url) as staying,
        running_gateway(proxy.redis_url) as moving,
        moving.read("lobby") as moved,
        staying.read("lobby") as stayed,
    ):
        for number in range(1, 4):
            await staying.send("lobby", f"kept{number}")
        await replicate(old, new)
        await turn(proxy, new, moving)
        for number in range(4, 7):
            await moving.send("lobby", f"lost{number}")
        last_lost = (await moved.notes(6))[-1]
        yield Parted(proxy, staying, moving, stayed, moved, last_lost)


async def test_a_split_brain_ends_where_the_two_logs_parted(
    valkey: ValkeyProcess, other_valkey: ValkeyProcess
) -> None:
    """One gateway stays at the old primary while the other one is at the new: then both are there.

    Each has notes under the same sequences. What only the new primary had is lost.
    """
    async with parted(valkey, other_valkey) as gateways:
        for number in range(4, 9):
            await gateways.staying.send("lobby", f"new{number}")
        await gateways.stayed.notes(8)
        await gateways.come_together(valkey)


async def test_it_ends_there_also_where_the_old_primary_restarted_before_the_others_came_back(
    valkey: ValkeyProcess, other_valkey: ValkeyProcess
) -> None:
    """A later epoch has begun then, by a gateway that has seen nothing of what is lost."""
    async with parted(valkey, other_valkey) as gateways:
        for number in range(4, 8):
            await gateways.staying.send("lobby", f"new{number}")
        await gateways.stayed.notes(7)
        valkey.stop()
        valkey.start()
        await sent_when_back(gateways.staying, "lobby", "new8")
        assert texts(await gateways.stayed.notes(1)) == ["new8"]  # so it has entered the epoch
        await gateways.come_together(valkey)
        assert texts(await gateways.stayed.notes(1)) == ["new9"]
