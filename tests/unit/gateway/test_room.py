"""A room that reads what it has not heard, while its log changes under the reading."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from chat_gateway.epochs import EpochEnd
from chat_gateway.fan_out import FanOut
from chat_gateway.gap_reader import GapReader
from chat_gateway.heads import Head, Heads, Past
from chat_gateway.history import History, NotesPage, ReplayPart
from chat_gateway.outbox_range import OutboxRange
from chat_gateway.ring_budget import RingBudget
from chat_gateway.room import Room, RoomLimits
from chat_gateway.room_log import Stretch
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.errors import HistoryUnavailableError
from notecast_runtime.outbox import OutboxEntry, OutboxId
from tests.support.waiting import eventually

EPOCH = 1_700_000_000_000


class ScriptedHistory(History):
    """A log in memory; remembers what it was asked for."""

    def __init__(self) -> None:
        self.notes: list[LoggedNote] = []
        self.asked: list[Stretch] = []

    def write(self, epoch: int, sequences: Sequence[int]) -> None:
        self.notes += [LoggedNote(epoch=epoch, sequence=s, note=b"") for s in sequences]

    async def replay(self, room: str, stretch: Stretch) -> AsyncGenerator[ReplayPart]:  # noqa: ARG002
        self.asked.append(stretch)
        found = [n for n in self.notes if stretch.after < n.sequence <= stretch.through]
        yield ReplayPart(found, found[0].sequence if found else 0)

    async def list_notes(
        self, room: str, before: int, page_size: int, timeout_seconds: float
    ) -> NotesPage:
        raise NotImplementedError


class ScriptedHeads(Heads):
    """Says what a test has put there."""

    def __init__(self) -> None:
        self.answer = Past(Head(EPOCH, 0), ())

    async def past(self, room: str) -> Past:  # noqa: ARG002
        return self.answer


class TrimmedOutbox(OutboxRange):
    """Holds nothing any more."""

    def __init__(self) -> None:
        pass

    async def read(
        self,
        room: str,  # noqa: ARG002
        stretch: Stretch,  # noqa: ARG002
        behind: OutboxId,  # noqa: ARG002
    ) -> Sequence[OutboxEntry] | None:
        return None


@pytest.fixture
def history() -> ScriptedHistory:
    return ScriptedHistory()


@pytest.fixture
def heads() -> ScriptedHeads:
    return ScriptedHeads()


@pytest.fixture
def room(history: ScriptedHistory, heads: ScriptedHeads) -> Room:
    limits = RoomLimits(ring_notes=100, ring_bytes=10_000, run_bytes=10_000)
    gaps = GapReader(TrimmedOutbox(), history)
    room = Room("lobby", history, gaps, heads, FanOut(), limits, RingBudget(1_000_000))
    room.open(Head(EPOCH, 10))
    return room


async def test_a_place_that_the_ring_has_reached_meanwhile_is_not_read_again(
    room: Room, history: ScriptedHistory
) -> None:
    history.write(EPOCH, range(1, 11))
    await room.read_past(0)
    assert room.log.oldest == 1
    page = await room.read_past(5)
    assert (page.runs, page.next_sequence) == ((), 6)
    assert history.asked == [Stretch(0, 10)]


async def test_who_asks_for_the_same_at_once_shares_one_read(
    room: Room, history: ScriptedHistory
) -> None:
    history.write(EPOCH, range(1, 11))
    pages = await asyncio.gather(*(room.read_past(3) for _ in range(1_000)))
    assert history.asked == [Stretch(3, 10)]
    assert all(page is pages[0] for page in pages)


async def test_notes_of_a_later_epoch_do_not_count_before_the_log_has_entered_it(
    room: Room, history: ScriptedHistory, heads: ScriptedHeads
) -> None:
    history.write(EPOCH, range(1, 5))
    history.write(EPOCH + 1, range(5, 11))
    heads.answer = Past(Head(EPOCH + 1, 10), [EpochEnd(EPOCH, 4)])
    with pytest.raises(HistoryUnavailableError):
        await room.read_past(0)
    await room.reach(EPOCH + 1)
    await eventually(lambda: room.log.newest == 10, "the new epoch's notes are fetched")
    assert room.log.oldest == 5
    page = await room.read_past(0)
    assert page.next_sequence == 5


async def test_a_gap_is_not_filled_with_notes_of_a_later_epoch(
    room: Room, history: ScriptedHistory, heads: ScriptedHeads
) -> None:
    history.write(EPOCH, range(1, 10))
    history.write(EPOCH + 1, (10, 11, 12))
    heads.answer = Past(Head(EPOCH + 1, 12), [EpochEnd(EPOCH, 9)])
    room.hear_head(Head(EPOCH, 12))
    await room.reach(EPOCH + 1)
    await eventually(lambda: room.log.newest == 12, "the new epoch's notes are fetched")
    assert room.log.epoch == EPOCH + 1
    assert room.log.oldest == 10
    room.close()
