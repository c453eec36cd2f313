"""The one tick: when rooms are delivered, and whom a fault touches."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from chat_gateway.rooms.fan_out import FanOut
from notecast_runtime.errors import InternalFaultError, NotecastError
from tests.support.waiting import eventually


class Recorded:
    """A room that notes its deliveries, or does something else in them."""

    def __init__(self, name: str, log: list[str], act: Callable[[], object] = lambda: None) -> None:
        self.name = name
        self.ended_by: NotecastError | None = None
        self._log = log
        self._act = act

    live_readers = 1
    live_connections = 1

    def deliver(self) -> None:
        self._act()
        self._log.append(self.name)

    def end(self, error: NotecastError) -> None:
        self.ended_by = error


def fail() -> None:
    raise RuntimeError("ours")


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fan_out(clock: Clock) -> FanOut:
    return FanOut(clock=clock, work_clock=clock)


@pytest.fixture
def delivered() -> list[str]:
    return []


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_to_an_idle_gateway_is_delivered_in_the_same_turn_of_the_loop(
    fan_out: FanOut, delivered: list[str], clock: Clock
) -> None:
    room = Recorded("red", delivered)
    for count in (1, 2):
        fan_out.mark(room)
        await turns(1)
        assert len(delivered) == count
        await turns(3)
        clock.seconds += 0.05


async def test_what_comes_soon_after_a_long_round_waits_for_as_long_as_that_took(
    fan_out: FanOut, delivered: list[str], clock: Clock
) -> None:
    def take_time() -> None:
        clock.seconds += 0.04

    busy, other = Recorded("busy", delivered, take_time), Recorded("other", delivered)
    fan_out.mark(busy)
    await turns(1)
    fan_out.mark(other)
    begun = asyncio.get_running_loop().time()
    await turns(10)
    assert delivered == ["busy"]
    await eventually(lambda: delivered == ["busy", "other"], "the next round")
    # A loop may be early by its clock's resolution.
    assert asyncio.get_running_loop().time() - begun >= 0.04 - 0.002


async def test_the_writes_that_a_round_has_caused_count_as_a_part_of_it(
    fan_out: FanOut, delivered: list[str], clock: Clock
) -> None:
    loop = asyncio.get_running_loop()

    def flush() -> None:
        clock.seconds += 0.04

    room = Recorded("red", delivered, lambda: loop.call_soon(flush))
    fan_out.mark(room)
    await turns(4)
    fan_out.mark(room)
    await turns(10)
    assert delivered == ["red"]
    await eventually(lambda: delivered == ["red", "red"], "the next round")


async def test_what_comes_when_a_round_may_begin_begins_it_for_those_who_wait_as_well(
    fan_out: FanOut, delivered: list[str], clock: Clock
) -> None:
    def take_time() -> None:
        clock.seconds += 10

    fan_out.mark(Recorded("red", delivered, take_time))
    await turns(4)
    fan_out.mark(Recorded("waits", delivered))
    clock.seconds += 10  # the longest wait is over, and no timer of the loop has noticed
    await turns(2)
    assert delivered == ["red"]
    fan_out.mark(Recorded("comes", delivered))
    await turns(1)
    assert delivered == ["red", "waits", "comes"]
    await turns(4)
    fan_out.mark(Recorded("later", delivered))
    clock.seconds += 10
    fan_out.mark(Recorded("last", delivered))
    await turns(1)
    assert delivered[3:] == ["later", "last"], "and each once"


async def test_the_transport_learns_when_the_next_round_may_begin(
    delivered: list[str], clock: Clock
) -> None:
    def take_time() -> None:
        clock.seconds += 0.0002

    told: list[float] = []
    fan_out = FanOut(told.append, clock, clock)
    for _ in range(2):
        fan_out.mark(Recorded("red", delivered, take_time))
        await turns(4)
        clock.seconds += 0.05
    assert told == pytest.approx([0.0018, 0.0018])


@pytest.mark.parametrize(("connections", "apart_seconds"), [(20, 0.012), (2, 0.020)])
async def test_rounds_are_further_apart_where_a_proxy_has_the_streams(
    delivered: list[str], clock: Clock, connections: int, apart_seconds: float
) -> None:
    told: list[float] = []
    fan_out = FanOut(told.append, clock, clock)
    room = Recorded("red", delivered)
    room.live_readers, room.live_connections = 500, connections
    fan_out.mark(room)
    await turns(4)
    assert told == pytest.approx([apart_seconds])


async def test_what_others_did_on_the_core_meanwhile_makes_nobody_wait(
    delivered: list[str], clock: Clock
) -> None:
    def be_kept_waiting() -> None:
        clock.seconds += 0.04

    fan_out = FanOut(clock=clock, work_clock=lambda: 0.0)
    fan_out.mark(Recorded("slow", delivered, be_kept_waiting))
    await turns(4)
    fan_out.mark(Recorded("next", delivered))
    await turns(1)
    assert delivered == ["slow", "next"]


async def test_a_fault_in_one_room_ends_its_streams_and_keeps_no_other_from_its_notes(
    fan_out: FanOut, delivered: list[str]
) -> None:
    rooms = [
        Recorded("red", delivered),
        Recorded("faulty", delivered, fail),
        Recorded("blue", delivered),
    ]
    with capture_logs() as logs:
        for room in rooms:
            fan_out.mark(room)
        await turns(1)
        assert delivered == ["red", "blue"]
        fan_out.mark(rooms[0])
        await eventually(lambda: delivered == ["red", "blue", "red"], "the next round")
    assert [(line["event"], line["room"]) for line in logs] == [("delivery_failed", "faulty")]
    assert isinstance(rooms[1].ended_by, InternalFaultError)
    assert rooms[0].ended_by is rooms[2].ended_by is None


async def test_a_room_is_delivered_once_a_round_however_often_it_has_news(
    fan_out: FanOut, delivered: list[str]
) -> None:
    room = Recorded("red", delivered)
    for _ in range(10):
        fan_out.mark(room)
    await turns(1)
    assert delivered == ["red"]


async def test_what_comes_in_the_middle_of_a_round_is_delivered_in_the_next(
    fan_out: FanOut, delivered: list[str]
) -> None:
    late = Recorded("late", delivered)
    fan_out.mark(Recorded("red", delivered, lambda: fan_out.mark(late)))
    await eventually(lambda: delivered == ["red", "late"], "the next round")
