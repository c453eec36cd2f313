"""Work that several wait for goes on as long as one of them does, and no longer."""

import asyncio

import pytest

from chat_gateway.shared_read import SharedRead
from notecast_runtime.errors import HistoryUnavailableError
from tests.support.waiting import eventually


class Work:
    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.cancelled = False

    async def __call__(self) -> str:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "outcome"


async def waiting(read: SharedRead[str], count: int) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(read.outcome()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_all_who_wait_get_the_outcome() -> None:
    work = Work()
    read = SharedRead(work())
    tasks = await waiting(read, 3)
    work.gate.set()
    assert await asyncio.gather(*tasks) == ["outcome"] * 3


async def test_it_goes_on_for_those_who_stay_and_ends_with_the_last_of_them() -> None:
    work = Work()
    read = SharedRead(work())
    first, last = await waiting(read, 2)
    first.cancel()
    await asyncio.wait({first})
    assert not read.task.cancelling()
    last.cancel()
    await asyncio.wait({last})
    await eventually(read.task.done, "the work has ended")
    assert work.cancelled


async def test_an_error_is_told_to_who_waits_and_to_nobody_else() -> None:
    async def fail() -> str:
        await asyncio.sleep(0)
        raise HistoryUnavailableError("away")

    with pytest.raises(HistoryUnavailableError):
        await SharedRead(fail()).outcome()
    unheard = SharedRead(fail())
    await eventually(unheard.task.done, "it has failed, and the loop does not complain")
