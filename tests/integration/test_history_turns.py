"""Clients take turns at history's reads, whichever gateway they are at."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import grpc
import pytest
from grpc import aio

from history.paging import NotesPage, Pager
from history.replay import Replayer
from notecast.v1.chat_pb2 import ListNotesRequest, RoomSubscription
from notecast.v1.history_pb2 import (
    HistoryServiceListNotesRequest,
    ReplayRequest,
    ReplayResponse,
)
from notecast.v1.history_pb2_grpc import HistoryServiceStub
from notecast_runtime.client_metadata import CLIENT, MAX_BYTES, client_metadata
from notecast_wire.fairness.clients import ClientId
from tests.support.services import Gateway, running_gateway, running_history
from tests.support.statuses import reason_of, retry_delay_ms
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

ANN, BOB = ClientId("192.0.2.1", "10.0.0.7/1"), ClientId("192.0.2.2", "10.0.0.7/2")
ANNS_OTHERS = [ANN._replace(connection=f"10.0.0.7/{number}") for number in range(3, 9)]
A_CONNECTIONS_SHARE = 1
A_CLIENTS_SHARE = 3


class HeldReads:
    """Every read of history from Redis, which waits until the test is over; by rooms."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.enough_bytes = 0
        self._over = asyncio.Event()

    async def page(self, room: str, before: int, page_size: int) -> NotesPage:  # noqa: ARG002
        self.begun.append(room)
        await self._over.wait()
        return NotesPage([], has_older=False)

    async def replay(
        self, room: str, after: int, through: int, enough_bytes: int
    ) -> AsyncGenerator[ReplayResponse]:
        self.begun.append(room)
        self.enough_bytes = enough_bytes
        await self._over.wait()
        yield ReplayResponse(first_remaining=through or after + 1)

    def end(self) -> None:
        self._over.set()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> HeldReads:
    held = HeldReads()
    monkeypatch.setattr(Pager, "page", held.page)
    monkeypatch.setattr(Replayer, "replay", held.replay)
    return held


class Calls:
    """A gateway's hands, with which it reads for this client and that."""

    def __init__(self, channel: aio.Channel, method: str) -> None:
        self._stub = HistoryServiceStub(channel)
        self._method = method
        self._made: list[asyncio.Task[object]] = []

    def read(self, room: str, metadata: Sequence[tuple[str, str]], times: int = 1) -> None:
        for _ in range(times):
            self._made.append(asyncio.create_task(self._read(room, metadata)))

    async def all_answered(self) -> None:
        await asyncio.gather(*self._made)

    async def _read(self, room: str, metadata: Sequence[tuple[str, str]]) -> object:
        if self._method == "ListNotes":
            request = HistoryServiceListNotesRequest(room=room, page_size=1)
            return await self._stub.ListNotes(request, timeout=20, metadata=metadata)
        call = self._stub.Replay(ReplayRequest(room=room), timeout=20, metadata=metadata)
        return [response async for response in call]


@pytest.fixture(params=["ListNotes", "Replay"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_client_that_reads_much_has_its_share_of_turns_and_others_have_theirs(
    valkey: ValkeyProcess, held: HeldReads, method: str
) -> None:
    async with (
        running_history(valkey.url) as target,
        aio.insecure_channel(target) as channel,
    ):
        calls = Calls(channel, method)
        calls.read("anns", client_metadata(ANN), times=20)
        await eventually(lambda: "anns" in held.begun, "she reads")
        calls.read("bobs", client_metadata(BOB))
        await eventually(lambda: "bobs" in held.begun, "he waits behind none of her reads")
        assert held.begun.count("anns") == A_CONNECTIONS_SHARE
        for other in ANNS_OTHERS:
            calls.read("anns", client_metadata(other))
        await eventually(
            lambda: held.begun.count("anns") == A_CLIENTS_SHARE, "her connections share hers"
        )
        held.end()
        await calls.all_answered()


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        ((CLIENT, ""),),
        ((CLIENT, "192.0.2.9"),),
        ((CLIENT, ";1"),),
        ((CLIENT, "192.0.2.9;1;1"),),
        ((CLIENT, "192.0.2.9;" + "1" * MAX_BYTES),),
        (*client_metadata(ANN), *client_metadata(BOB)),
    ],
    ids=["none", "empty", "no connection", "no address", "three parts", "long", "two"],
)
async def test_calls_that_do_not_say_for_whom_count_for_their_gateway(
    valkey: ValkeyProcess, held: HeldReads, metadata: Sequence[tuple[str, str]]
) -> None:
    async with (
        running_history(valkey.url) as target,
        aio.insecure_channel(target) as channel,
    ):
        calls = Calls(channel, "ListNotes")
        calls.read("anybodys", (), times=A_CLIENTS_SHARE)
        await eventually(lambda: len(held.begun) == A_CLIENTS_SHARE, "all that a gateway may")
        calls.read("also anybodys", metadata)
        calls.read("anns", client_metadata(ANN))
        await eventually(lambda: "anns" in held.begun, "she has a share of her own")
        assert "also anybodys" not in held.begun
        held.end()
        await calls.all_answered()


async def test_a_client_that_reads_much_at_a_gateway_keeps_no_other_from_history(
    valkey: ValkeyProcess, held: HeldReads, method: str
) -> None:
    async with (
        running_history(valkey.url) as target,
        running_gateway(valkey.url, target, ring_notes=1) as gateway,
        aio.insecure_channel(gateway.target, [("grpc.use_local_subchannel_pool", 1)]) as channel,
    ):
        for number in range(20):
            await gateway.send("anns", str(number))
            await gateway.send("bobs", str(number))
        ann, bob = gateway, Gateway(gateway.target, channel)
        anns = [asyncio.ensure_future(ask(ann, method, "anns", number)) for number in range(12)]
        await eventually(lambda: "anns" in held.begun, "she reads")
        bobs = asyncio.ensure_future(ask(bob, method, "bobs", 1))
        await eventually(lambda: "bobs" in held.begun, "he waits behind none of her reads")
        assert held.begun.count("anns") == A_CONNECTIONS_SHARE
        assert held.enough_bytes == (0 if method == "ListNotes" else 262_144)
        for asked in (*anns, bobs):
            asked.cancel()
        await asyncio.gather(*anns, bobs, return_exceptions=True)
        held.end()


async def test_a_client_whose_own_reads_come_first_is_told_so_and_not_that_history_is_away(
    valkey: ValkeyProcess, held: HeldReads
) -> None:
    async with (
        running_history(valkey.url) as target,
        running_gateway(valkey.url, target, redis_timeout_seconds=1) as gateway,
    ):
        first = asyncio.ensure_future(ask(gateway, "ListNotes", "anns", 0))
        await eventually(lambda: "anns" in held.begun, "she reads")
        with pytest.raises(aio.AioRpcError) as refused:
            await ask(gateway, "ListNotes", "anns", 1)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert reason_of(refused.value) == "OVERLOADED"
        assert (refused.value.details() or "").startswith("no turn at pages came within 0.")
        assert retry_delay_ms(refused.value) == 1_000
        first.cancel()
        held.end()


async def ask(gateway: Gateway, method: str, room: str, number: int) -> None:
    """A read of history that no other shares."""
    if method == "ListNotes":
        await gateway.stub.ListNotes(ListNotesRequest(room=room, page_size=1 + number), timeout=20)
    else:
        async with gateway.read(RoomSubscription(room=room, last=2 + number)) as reader:
            await reader.notes(1)
