"""One client can take neither all rooms nor all streams, and what it leaves is read no more."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest

from chat_gateway.rooms.hub import Hub
from notecast.v1.chat_pb2 import RoomSubscription, SubscribeRequest
from notecast_runtime.fair_turns import FairTurns
from notecast_runtime.keyspace import FLOOR_FIELD, PARTITIONS, heads_key
from tests.support import raw_http2 as raw
from tests.support.census import living, the
from tests.support.health import health_of
from tests.support.services import Gateway, from_start, running_gateway, running_history
from tests.support.statuses import detail_of, reason_of, retry_delay_ms
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


class Neighbour:
    """A client with a connection of its own, who opens much and reads little."""

    def __init__(self, connection: raw.RawConnection) -> None:
        self.connection = connection
        self._next_id = 1

    def call(self, path: str, request: Message) -> int:
        stream_id, self._next_id = self._next_id, self._next_id + 2
        self.connection.send(
            raw.headers(stream_id, raw.request(path))
            + raw.data(stream_id, raw.message(request.SerializeToString()), end=True)
        )
        return stream_id

    def subscribe(self, *rooms: RoomSubscription | str) -> int:
        wanted = [RoomSubscription(room=r) if isinstance(r, str) else r for r in rooms]
        return self.call(
            "/notecast.v1.ChatService/Subscribe", SubscribeRequest(subscriptions=wanted)
        )


@contextmanager
def neighbour(gateway: Gateway, *settings: tuple[int, int]) -> Iterator[Neighbour]:
    with raw.RawConnection(int(gateway.target.rpartition(":")[2])) as connection:
        connection.open(*settings)
        yield Neighbour(connection)


async def refused(gateway: Gateway, room: str) -> aio.AioRpcError:
    async with aio.insecure_channel(
        gateway.target, [("grpc.use_local_subchannel_pool", 1)]
    ) as channel:
        with pytest.raises(aio.AioRpcError) as error:
            await Gateway(gateway.target, channel).read(room).event()
    return error.value


@pytest.mark.parametrize("floor", [0, 7], ids=["a new system", "rooms were forgotten"])
async def test_a_client_that_names_rooms_that_do_not_exist_takes_none_of_the_others_rooms(
    valkey: ValkeyProcess, floor: int
) -> None:
    if floor:  # once retention has forgotten rooms, those that nobody has written to stand there
        with valkey.client() as store:
            for partition in range(PARTITIONS):
                store.hset(heads_key(partition), FLOOR_FIELD, floor)
    async with running_gateway(valkey.url, max_open_rooms=160) as gateway:
        with neighbour(gateway) as hostile:
            hostile.subscribe(*(f"first.{each}" for each in range(16)))
            await eventually(lambda: len(the(Hub).open_rooms()) == 16, "it has its first rooms")
            # A connection may have 20 rooms without a note here: a quarter of half of all.
            for number in range(20):
                hostile.subscribe(*(f"{number}.{each}" for each in range(16)))
                hostile.connection.frames()
            async with gateway.read("somebody else's") as reader:
                await gateway.send("somebody else's", "hello")
                assert [note.text for note in await reader.notes(1)] == ["hello"]
            assert len(the(Hub).open_rooms()) <= 21
        await eventually(lambda: not the(Hub).open_rooms(), "its rooms are left with it")
        with valkey.client() as store:
            await eventually(
                lambda: not [c for c in store.pubsub_channels() if b"room:" in c],
                "and its subscriptions",
            )


async def test_a_refusal_says_which_bound_whose_share_and_when_to_come_again(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_gateway(valkey.url, max_streams=8) as gateway,
        gateway.read("red"),
        gateway.read("blue"),
    ):
        with pytest.raises(aio.AioRpcError) as error:
            await gateway.read("green").event()
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert reason_of(error.value) == "TOO_MANY_STREAMS"
        assert retry_delay_ms(error.value) > 0
        told = detail_of(error.value, error_details_pb2.ErrorInfo).metadata
        assert dict(told) == {"limit": "2", "scope": "connection"}
        assert "2 streams of this connection" in str(error.value.details())


async def test_watches_of_health_count_as_streams_and_probes_are_answered_all_the_same(
    valkey: ValkeyProcess,
) -> None:
    async with running_gateway(valkey.url, max_streams=8) as gateway:
        with neighbour(gateway) as hostile:
            watch = HealthCheckRequest(service="readiness")
            for _ in range(20):
                hostile.call("/grpc.health.v1.Health/Watch", watch)
            for name in ("", "liveness", "readiness"):
                assert await health_of(gateway.target, name) == "SERVING"
            async with gateway.read("den") as reader:
                assert await reader.kinds(1) == ["caught_up"]
            error = await told(hostile)
            assert error == {"2 streams of this connection are open here; more are not allowed"}


async def told(hostile: Neighbour) -> set[str]:
    """The messages of the statuses that came, which stand in the header blocks as they are."""
    found: set[str] = set()

    def come() -> bool:
        for frame in hostile.connection.frames():
            if frame.kind == raw.HEADERS and b"are open here" in frame.payload:
                found.add("2 streams of this connection are open here; more are not allowed")
        return bool(found)

    await eventually(come, "a refusal")
    return found


async def test_joins_and_resets_in_quick_succession_leave_no_read_behind_and_slow_no_other(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history, ring_notes=1) as gateway,
    ):
        for number in range(60):
            await gateway.send("long", f"{number} " + "x" * 8_000)
        with neighbour(gateway, (raw.INITIAL_WINDOW_SIZE, 0)) as hostile:
            slowest = 0.0
            for number in range(150):
                stream = hostile.subscribe(RoomSubscription(room="long", last=2 + number % 50))
                if number >= 12:
                    hostile.connection.send(raw.rst_stream(stream - 24))
                hostile.connection.frames()
                if number % 15 == 0:
                    slowest = max(slowest, await seconds_of_a_replay(gateway))
        assert slowest < 3
        await eventually(
            lambda: not any(turns.under_way for turns in living(FairTurns)), "nothing is read"
        )
        assert [t for t in asyncio.all_tasks() if "SharedRead" in str(t.get_coro())] == []
        async with gateway.read(from_start("long")) as reader:
            assert len(await reader.notes(60)) == 60


async def seconds_of_a_replay(gateway: Gateway) -> float:
    """How long another client waits for a note of before."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with gateway.read(RoomSubscription(room="long", last=3)) as reader:
        assert len(await reader.notes(3)) == 3
    return loop.time() - began
