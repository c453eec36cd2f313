import asyncio
import contextlib

import pytest

from notecast_runtime.tasks import not_cancelled, outcome_of


async def test_a_loop_ends_although_the_cancellation_was_swallowed() -> None:
    rounds = 0

    async def loop() -> None:
        nonlocal rounds
        while not_cancelled():
            rounds += 1
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait_for(task, 5)
    assert rounds == 1


async def test_all_who_wait_for_an_outcome_get_it() -> None:
    work: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waits = [asyncio.create_task(outcome_of(work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.set_result("done")
    assert await asyncio.gather(*waits) == ["done"] * 3
    assert await outcome_of(work) == "done"


async def test_one_that_no_longer_waits_ends_no_work_and_leaves_nothing_behind() -> None:
    work = asyncio.create_task(asyncio.Event().wait())
    waits = [asyncio.create_task(outcome_of(work)) for _ in range(2)]
    await asyncio.sleep(0)
    waits[0].cancel()
    await asyncio.wait(waits[:1])
    assert waits[0].cancelled()
    assert not work.done()
    waits[1].cancel()
    await asyncio.wait(waits[1:])
    assert not work._callbacks
    work.cancel()


@pytest.mark.parametrize("error", [ValueError("bad"), asyncio.CancelledError()])
async def test_what_ends_work_is_raised_to_the_caller_that_waits(error: BaseException) -> None:
    work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    wait = asyncio.create_task(outcome_of(work))
    await asyncio.sleep(0)
    if isinstance(error, asyncio.CancelledError):
        work.cancel()
    else:
        work.set_exception(error)
    with pytest.raises(type(error)):
        await wait
