"""Turns at costly work: bounded, and fair between clients, whoever asks for how much."""

import asyncio

import pytest

from notecast_runtime.errors import OverloadedError
from notecast_runtime.fair_turns import FairTurns
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import UNDIVIDED, ShareRatios
from tests.support.waiting import eventually

ANN, BOB = ClientId("192.0.2.1", "1"), ClientId("192.0.2.2", "1")
ANNS_OTHER = ClientId("192.0.2.1", "2")


class Work:
    """Work that lasts until it is let go; remembers who began in which order."""

    def __init__(self, turns: FairTurns) -> None:
        self.turns = turns
        self.begun: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def start(self, client: ClientId, name: str, seconds: float | None = None) -> asyncio.Task[str]:
        self.gates[name] = asyncio.Event()
        return asyncio.create_task(self._do(client, name, seconds))

    async def _do(self, client: ClientId, name: str, seconds: float | None) -> str:
        async with self.turns.turn(client, seconds):
            self.begun.append(name)
            await self.gates[name].wait()
        return name

    async def end(self, *names: str) -> None:
        for name in names:
            self.gates[name].set()
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_work_at_a_time_than_there_are_turns() -> None:
    work = Work(FairTurns("reads", 2, UNDIVIDED))
    tasks = [work.start(ANN, str(n)) for n in range(5)]
    await settle()
    assert work.begun == ["0", "1"]
    await work.end("0")
    assert work.begun == ["0", "1", "2"]
    await work.end("1", "2", "3", "4")
    assert [await task for task in tasks] == ["0", "1", "2", "3", "4"]
    assert work.turns.under_way == 0


async def test_a_client_that_asks_for_much_waits_for_its_own_turns() -> None:
    work = Work(FairTurns("reads", 1, UNDIVIDED))
    tasks = [work.start(ANN, f"ann{n}") for n in range(10)]
    await settle()
    tasks.append(work.start(BOB, "bob"))
    await settle()
    await work.end("ann0")
    await work.end("ann1")
    assert work.begun == ["ann0", "ann1", "bob"]
    await work.end(*work.gates)
    await asyncio.gather(*tasks)
    assert not work.turns._waiting


async def test_connections_of_an_address_take_turns_too() -> None:
    work = Work(FairTurns("reads", 1, UNDIVIDED))
    tasks = [work.start(ANN, f"ann{n}") for n in range(5)]
    tasks.append(work.start(ANNS_OTHER, "other"))
    await settle()
    await work.end("ann0", "ann1")
    assert work.begun == ["ann0", "ann1", "other"]
    await work.end(*work.gates)
    await asyncio.gather(*tasks)


async def test_a_share_is_kept_free_for_others() -> None:
    work = Work(FairTurns("reads", 8, ShareRatios(0.5, 0.25)))
    tasks = [work.start(ANN, f"ann{n}") for n in range(20)]
    tasks += [work.start(ANNS_OTHER, f"other{n}") for n in range(20)]
    await settle()
    assert work.begun == ["ann0", "ann1", "other0", "other1"]
    tasks.append(work.start(BOB, "bob"))
    await settle()
    assert work.begun[-1] == "bob"
    await work.end(*work.gates)
    await asyncio.gather(*tasks)


async def test_all_of_an_address_may_wait_whose_connections_are_not_known() -> None:
    """As those behind a second proxy: then the many are one connection, as far as is known."""
    turns = FairTurns("joins", 8, ShareRatios(0.5, 0.25))
    untold, joined = ClientId("192.0.2.1", ""), 0

    async def join() -> None:
        nonlocal joined
        async with turns.turn(untold, 10):
            await asyncio.sleep(0)
            joined += 1

    await asyncio.gather(*(join() for _ in range(3_000)))
    assert joined == 3_000
    assert turns.under_way == 0


async def test_a_client_that_leaves_while_it_waits_has_no_turn_and_takes_none() -> None:
    work = Work(FairTurns("reads", 1, UNDIVIDED))
    first, leaver, last = (work.start(ANN, name) for name in ("first", "leaver", "last"))
    await settle()
    leaver.cancel()
    work.gates["first"].set()
    work.gates["last"].set()
    assert [await first, await last] == ["first", "last"]
    assert leaver.cancelled()
    assert work.begun == ["first", "last"]
    assert work.turns.under_way == 0
    assert not work.turns._waiting


async def test_a_turn_that_does_not_come_in_time_is_refused() -> None:
    work = Work(FairTurns("reads", 1, UNDIVIDED))
    first = work.start(ANN, "first")
    late = work.start(BOB, "late", seconds=0.01)
    with pytest.raises(OverloadedError, match="no turn at reads"):
        await late
    await work.end("first")
    await first
    assert work.turns.under_way == 0
    assert not work.turns._waiting


async def test_a_turn_passes_over_one_whose_time_is_up_in_that_moment() -> None:
    turns = FairTurns("reads", 1, UNDIVIDED)
    await turns.take(ANN, None)
    late = asyncio.create_task(turns.take(BOB, 10))
    await settle()
    (waiting,) = turns._waiting[BOB.address][BOB]
    waiting.set_result(False)  # what its timer does
    turns.give_back(ANN)  # before the late one has heard of it
    with pytest.raises(OverloadedError, match="within 10 s"):
        await late
    assert turns.under_way == 0
    assert not turns._waiting


async def test_a_client_that_leaves_as_it_is_told_of_a_turn_gives_it_back() -> None:
    work = Work(FairTurns("reads", 1, UNDIVIDED))
    first, second = work.start(ANN, "first"), work.start(BOB, "second")
    await settle()
    work.gates["first"].set()
    await first  # the turn is the second one's, which has not heard it yet
    second.cancel()
    await settle()
    assert work.turns.under_way == 0
    third = work.start(ANN, "third")
    await work.end("third")
    assert await third == "third"


async def test_work_that_has_begun_goes_to_its_end_and_keeps_its_turn_until_then() -> None:
    turns = FairTurns("reads", 1, UNDIVIDED)
    gate, ended = asyncio.Event(), []

    async def work() -> None:
        await gate.wait()
        ended.append(1)
        raise RuntimeError("which nobody is left to be told of")

    caller = asyncio.create_task(turns.run(ANN, 1, work))
    await settle()
    caller.cancel()
    await settle()
    assert caller.cancelled()
    assert turns.under_way == 1
    gate.set()
    await eventually(lambda: turns.under_way == 0, "the turn is back")
    assert ended == [1]


async def test_what_work_raises_its_caller_gets() -> None:
    turns = FairTurns("reads", 1, UNDIVIDED)

    async def work() -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await turns.run(ANN, 1, work)
    assert turns.under_way == 0
