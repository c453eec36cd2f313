"""A part that dies is begun again, and readiness says so meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from history.supervision import supervised
from notecast_runtime.health import Health
from tests.support.waiting import eventually

WORKING = "working"


class Part:
    """Works until it is told to die or to end; gives each run's way to go by one queue."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self.runs = 0
        self.fate: asyncio.Queue[BaseException | None] = asyncio.Queue()

    async def run(self) -> None:
        self.runs += 1
        self._health.report(WORKING, holds=True)
        fate = await self.fate.get()
        if fate:
            raise fate


def begun() -> tuple[Health, Part, asyncio.Task[None]]:
    health = Health([], [WORKING])
    part = Part(health)
    return health, part, asyncio.create_task(supervised("part", part.run, health, WORKING))


@pytest.mark.parametrize("fate", [RuntimeError("broken"), asyncio.CancelledError()])
async def test_a_part_that_dies_turns_readiness_red_and_is_begun_again(fate: BaseException) -> None:
    health, part, task = begun()
    await eventually(lambda: health.ready, "ready")
    with capture_logs() as logs:
        part.fate.put_nowait(fate)
        await eventually(lambda: not health.ready, "red")
        await eventually(lambda: part.runs == 2 and health.ready, "begun again, and ready")
    assert [line["part"] for line in logs if line["event"] == "part_died"] == ["part"]
    part.fate.put_nowait(None)
    await task


async def test_a_part_that_dies_again_and_again_is_begun_ever_more_rarely() -> None:
    _, part, task = begun()
    for _ in range(100):
        part.fate.put_nowait(RuntimeError("broken"))
    with capture_logs():
        await asyncio.sleep(1)  # the time itself is what is looked at
    assert 3 <= part.runs <= 7
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("end", [lambda task, _: task.cancel(), lambda _, fate: fate(None)])
async def test_a_part_that_ends_by_order_is_not_begun_again(
    end: Callable[[asyncio.Task[None], Callable[[None], None]], Awaitable[None]],
) -> None:
    health, part, task = begun()
    await eventually(lambda: health.ready, "ready")
    end(task, part.fate.put_nowait)
    ended, _ = await asyncio.wait({task}, timeout=5)
    assert ended
    assert part.runs == 1
