"""What comes while several calls are under way is taken together, in order, and soon."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from notecast_wire import server
from notecast_wire.calls.read_batching import ReadBatcher
from notecast_wire.http2.codes import FrameType
from tests.support.waiting import eventually
from tests.wire.calls.still_loop import StillLoop

SECONDS = 0.05


def taking(taken: list[tuple[str, bytes]], name: str) -> Callable[[bytes], None]:
    return lambda data: taken.append((name, data))


def frame(kind: int, size: int) -> bytes:
    """As many bytes that begin with a frame of this type."""
    return bytes((0, 0, 0, kind)).ljust(size, b"x")


@pytest.fixture
def taken() -> list[tuple[str, bytes]]:
    return []


async def batcher(seconds: float = SECONDS) -> ReadBatcher:
    """One that has taken nothing for long enough to be idle is as good as new."""
    return ReadBatcher(asyncio.get_running_loop(), seconds)


@pytest.mark.parametrize("calls", [0, 1])
async def test_an_idle_server_takes_at_once(taken: list[tuple[str, bytes]], calls: int) -> None:
    (await batcher()).add(taking(taken, "a"), b"1", calls)
    assert taken == [("a", b"1")]


async def test_without_a_time_everything_is_taken_at_once(taken: list[tuple[str, bytes]]) -> None:
    (await batcher(0)).add(taking(taken, "a"), b"1", calls=1_000)
    assert taken == [("a", b"1")]


async def test_a_busy_server_takes_what_comes_together_and_in_order(
    taken: list[tuple[str, bytes]],
) -> None:
    held = await batcher()
    held.add(taking(taken, "a"), b"1", calls=2)
    held.add(taking(taken, "b"), b"2", calls=2)
    held.add(taking(taken, "a"), b"3", calls=0)  # never before what came earlier
    assert taken == []
    before = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        while not taken:  # noqa: ASYNC110 - each turn is looked at: all comes in one
            await asyncio.sleep(0)
    assert taken == [("a", b"1"), ("b", b"2"), ("a", b"3")]
    assert asyncio.get_running_loop().time() - before < 5, "bounded, if a machine is slow"


async def test_a_server_that_has_gathered_goes_on_for_as_long_as_much_comes(
    taken: list[tuple[str, bytes]],
) -> None:
    held = await batcher(3_600)
    held.add(taking(taken, "a"), b"1", calls=2)
    held.add(taking(taken, "b"), b"2", calls=2)
    held.flush()
    held.add(taking(taken, "c"), b"3", calls=0)  # all were answered, and one comes soon
    assert [name for name, _ in taken] == ["a", "b"]
    held.flush()
    held.add(taking(taken, "d"), b"4", calls=0)  # it had been alone
    assert [name for name, _ in taken] == ["a", "b", "c", "d"]


async def test_nobody_waits_for_more_company_where_some_sixteen_small_calls_have_come(
    taken: list[tuple[str, bytes]],
) -> None:
    held = await batcher(3_600)
    for number in range(15):
        held.add(taking(taken, f"{number}"), frame(FrameType.HEADERS, 256), calls=2)
    assert taken == []
    held.add(taking(taken, "last"), frame(FrameType.HEADERS, 256), calls=2)
    assert [name for name, _ in taken] == [*map(str, range(15)), "last"]


async def test_a_large_request_is_taken_at_once(taken: list[tuple[str, bytes]]) -> None:
    held = await batcher(3_600)
    for number in range(5):
        held.add(taking(taken, f"{number}"), frame(FrameType.DATA, 65_536), calls=2)
        assert len(taken) == number + 1


@pytest.mark.parametrize("kind", [FrameType.PING, FrameType.WINDOW_UPDATE])
async def test_what_is_no_request_waits_however_many_say_it_and_yet_not_without_bound(
    taken: list[tuple[str, bytes]], kind: int
) -> None:
    held = await batcher(3_600)
    for number in range(100):
        held.add(taking(taken, f"{number}"), frame(kind, 400), calls=2)
    assert taken == []
    for number in range(100, 1_000):
        held.add(taking(taken, f"{number}"), frame(kind, 400), calls=2)
    assert len(taken) > 600
    assert [name for name, _ in taken] == [*map(str, range(len(taken)))]


async def test_data_that_come_long_after_the_last_time_wait_for_nothing(
    taken: list[tuple[str, bytes]],
) -> None:
    held = await batcher(1e-9)  # so that any time is long
    held.add(taking(taken, "a"), b"1", calls=2)
    async with asyncio.timeout(10):
        for _ in range(3):  # turns: a timer that is due, and it is over
            await asyncio.sleep(0)
    assert taken == [("a", b"1")]


async def test_waiting_data_are_processed_no_sooner_than_at_the_time_that_was_set(
    taken: list[tuple[str, bytes]],
) -> None:
    loop = asyncio.get_running_loop()
    held = await batcher(1e-9)
    held.flush_at = named = loop.time() + 0.05
    held.add(taking(taken, "a"), b"1", calls=2)
    await eventually(lambda: bool(taken), "it is taken")
    assert loop.time() >= named - 0.001, "a loop may be early by its clock's resolution"


async def test_nobody_is_kept_by_a_time_that_is_moved_on_again_and_again(
    taken: list[tuple[str, bytes]],
) -> None:
    loop = asyncio.get_running_loop()
    held = await batcher(0.001)
    held.flush_at = named = loop.time() + 0.05
    held.add(taking(taken, "a"), b"1", calls=2)
    held.flush_at = named + 3_600
    await eventually(lambda: bool(taken), "it is taken")


@pytest.mark.parametrize(
    ("named", "taken_at"),
    [
        pytest.param(1_090.0, 1_090.0, id="a little sooner than usual"),
        pytest.param(1_500.0, 1_500.0, id="later"),
        pytest.param(1_070.0, 1_100.0, id="too soon to count"),
        pytest.param(900.0, 1_100.0, id="past"),
    ],
)
def test_waiting_data_are_processed_at_the_time_that_was_set_or_else_at_the_usual_one(
    named: float, taken_at: float
) -> None:
    loop = StillLoop()
    held = ReadBatcher(cast("asyncio.AbstractEventLoop", loop), seconds=100.0)
    held.flush_at = named
    held.add(lambda _: None, b"1", calls=2)
    assert loop.due == [taken_at]


async def test_the_time_may_be_moved_on_while_something_waits(
    taken: list[tuple[str, bytes]],
) -> None:
    loop = asyncio.get_running_loop()
    held = await batcher(0.001)
    held.add(taking(taken, "a"), b"1", calls=2)
    held.flush_at = named = loop.time() + 0.05
    await eventually(lambda: bool(taken), "it is taken")
    assert loop.time() >= named - 0.001


async def test_a_time_that_was_named_makes_nobody_wait_who_would_not_anyway(
    taken: list[tuple[str, bytes]],
) -> None:
    held = await batcher()
    held.flush_at = asyncio.get_running_loop().time() + 3_600
    held.add(taking(taken, "a"), b"1", calls=1)
    never = await batcher(0)
    never.flush_at = asyncio.get_running_loop().time() + 3_600
    never.add(taking(taken, "b"), b"2", calls=2)
    assert [name for name, _ in taken] == ["a", "b"]


async def test_a_server_has_requests_wait_until_a_time_that_it_is_told() -> None:
    made = server(options=[("notecast_wire.read_batching_ms", 1)])
    made.flush_reads_in(3_600)  # it does not serve yet, and nothing happens
    await made.start()
    assert made._state is not None
    reads = made._state.read_batcher
    assert reads.flush_at == 0
    before = asyncio.get_running_loop().time()
    made.flush_reads_in(0.5)
    assert before + 0.5 <= reads.flush_at <= asyncio.get_running_loop().time() + 0.5
    await made.stop(None)


async def test_a_fault_of_one_connection_does_not_keep_the_others(
    taken: list[tuple[str, bytes]],
) -> None:
    def fails(data: bytes) -> None:
        raise RuntimeError(data.decode())

    told: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    held = await batcher(3_600)
    held.add(fails, b"a fault", calls=2)
    held.add(taking(taken, "b"), b"2", calls=2)
    held.flush()
    assert taken == [("b", b"2")]
    assert [str(each["exception"]) for each in told] == ["a fault"]
