"""Work that several wait for begins in the first turn of any, and ends with the last who waits."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest

from chat_gateway.rooms.shared_read import SharedRead
from notecast_runtime.errors import HistoryUnavailableError, InternalFaultError, OverloadedError
from notecast_runtime.fair_turns import FairTurns
from notecast_wire.fairness.clients import ClientId
from notecast_wire.fairness.shares import UNDIVIDED
from tests.support.waiting import eventually

ANN, BOB, EVE = (ClientId(f"192.0.2.{n}", "1") for n in (1, 2, 3))
_MOST_THAT_WAIT = 1_000


class Work:
    """Lasts until it is let go; remembers for whom it was begun."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun: list[ClientId] = []
        self.cancelled = False

    async def __call__(self, client: ClientId) -> str:
        self.begun.append(client)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "outcome"


class Busy:
    """Other reads of a client, each with a turn or in the queue for one."""

    def __init__(self, turns: FairTurns) -> None:
        self.turns = turns
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self, client: ClientId, count: int) -> None:
        self.tasks += [asyncio.create_task(self._read(client)) for _ in range(count)]
        await settle()

    async def end_two(self) -> None:
        """Ends the one that has the turn, and the one of the same client that has it next."""
        for task in self.tasks[:2]:
            task.cancel()
            await settle()

    async def _read(self, client: ClientId) -> None:
        async with self.turns.turn(client, None):
            await asyncio.Event().wait()


@pytest.fixture
def turns() -> FairTurns:
    return FairTurns("reads", 1, UNDIVIDED)


@pytest.fixture
async def busy(turns: FairTurns) -> AsyncIterator[Busy]:
    busy = Busy(turns)
    yield busy
    for task in busy.tasks:
        task.cancel()
    await asyncio.gather(*busy.tasks, return_exceptions=True)


@pytest.fixture
def work() -> Work:
    return Work()


async def waiting(read: SharedRead[str], *clients: ClientId) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(read.outcome(client)) for client in clients]
    await settle()
    return tasks


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_wait_get_the_outcome(turns: FairTurns, work: Work) -> None:
    read = SharedRead(turns, work)
    tasks = await waiting(read, ANN, ANN, BOB)
    work.gate.set()
    assert await asyncio.gather(*tasks) == ["outcome"] * 3
    assert work.begun == [ANN]
    assert not turns.under_way


async def test_it_goes_on_for_those_who_stay_and_ends_with_the_last_of_them(
    turns: FairTurns, work: Work
) -> None:
    read = SharedRead(turns, work)
    first, last = await waiting(read, ANN, BOB)
    first.cancel()
    await asyncio.wait({first})
    assert not read.result.done()
    assert turns.under_way, "it goes on in the turn of who has left"
    last.cancel()
    await asyncio.wait({last})
    assert read.result.cancelled()
    await eventually(lambda: not turns.under_way, "the work has ended")
    assert work.cancelled


async def test_it_begins_in_the_turn_that_comes_first_whoever_asked_first(
    turns: FairTurns, work: Work, busy: Busy
) -> None:
    await busy.begin(EVE, 50)
    read = SharedRead(turns, work)
    tasks = await waiting(read, EVE, BOB, ANN)
    await busy.end_two()
    assert work.begun == [BOB], "not behind the other 48 reads of who asked first"
    work.gate.set()
    assert await asyncio.gather(*tasks) == ["outcome"] * 3


async def test_those_whose_turn_it_is_not_leave_the_queue(turns: FairTurns, work: Work) -> None:
    read = SharedRead(turns, work)
    async with turns.turn(EVE, None):
        tasks = await waiting(read, ANN, BOB)
    work.gate.set()
    await asyncio.gather(*tasks)
    await settle()
    assert not turns.under_way
    async with turns.turn(EVE, 0.001):
        pass


async def test_a_reader_that_leaves_before_it_has_begun_leaves_the_queue(
    turns: FairTurns, work: Work
) -> None:
    read = SharedRead(turns, work)
    async with turns.turn(EVE, None):
        ann, bob = await waiting(read, ANN, BOB)
        ann.cancel()
        await settle()
    await settle()
    assert work.begun == [BOB]
    work.gate.set()
    assert await bob == "outcome"


async def test_a_reader_that_comes_back_before_it_has_begun_is_in_the_queue_again(
    turns: FairTurns, work: Work
) -> None:
    read = SharedRead(turns, work)
    async with turns.turn(EVE, None):
        ann, bob = await waiting(read, ANN, BOB)
        ann.cancel()
        await asyncio.wait({ann})
        (again,) = await waiting(read, ANN)
        bob.cancel()
        await settle()
    await settle()
    assert work.begun == [ANN]
    work.gate.set()
    assert await again == "outcome"


async def test_a_client_that_may_not_even_wait_for_a_turn_has_it_by_another(
    turns: FairTurns, work: Work, busy: Busy
) -> None:
    await busy.begin(EVE, 1 + _MOST_THAT_WAIT)
    read = SharedRead(turns, work)
    tasks = await waiting(read, EVE, BOB)
    await busy.end_two()
    work.gate.set()
    assert await asyncio.gather(*tasks) == ["outcome"] * 2
    assert work.begun == [BOB]


@pytest.mark.parametrize("others", [[], [BOB]], ids=["alone", "the other leaves"])
async def test_where_nobody_who_waits_may_have_a_turn_they_are_told(
    turns: FairTurns, work: Work, busy: Busy, others: list[ClientId]
) -> None:
    await busy.begin(EVE, 1 + _MOST_THAT_WAIT)
    read = SharedRead(turns, work)
    eve, *leaving = await waiting(read, EVE, *others)
    for task in leaving:
        task.cancel()
    with pytest.raises(OverloadedError):
        await eve
    assert work.begun == []


async def test_an_error_is_told_to_those_that_wait_and_to_nobody_else(turns: FairTurns) -> None:
    async def fail(_: ClientId) -> str:
        await asyncio.sleep(0)
        raise HistoryUnavailableError("away")

    with pytest.raises(HistoryUnavailableError):
        await SharedRead(turns, fail).outcome(ANN)
    unheard = SharedRead(turns, fail)
    (task,) = await waiting(unheard, ANN)
    await eventually(unheard.result.done, "it has failed, and the loop does not complain")
    task.cancel()


async def test_whoever_waits_is_told_where_the_work_is_cancelled_from_below(
    turns: FairTurns,
) -> None:
    async def cancelled_below(_: ClientId) -> str:
        below: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        below.cancel()
        return await below

    read = SharedRead(turns, cancelled_below)
    tasks = await waiting(read, ANN, BOB)
    async with asyncio.timeout(5):
        told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in told] == [InternalFaultError] * 2
    assert not turns.under_way


async def test_what_it_had_read_as_all_left_is_gone_without_the_collector(turns: FairTurns) -> None:
    class Page:
        """What has been read so far."""

    pages: list[weakref.ref[Page]] = []

    async def work(_: ClientId) -> str:
        page = Page()
        pages.append(weakref.ref(page))
        await asyncio.Event().wait()
        return repr(page)

    gc.disable()
    try:
        (ann,) = await waiting(SharedRead(turns, work), ANN)
        await eventually(lambda: pages, "the work has begun")
        ann.cancel()
        await asyncio.wait({ann})
        del ann
        await eventually(lambda: not pages[0](), "its page is gone", 2)
    finally:
        gc.enable()
