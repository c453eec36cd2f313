"""What clients are told of notes that retention has removed: the truth, and once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from notecast.v1.chat_pb2 import RoomSubscription
from notecast.v1.event_pb2 import Event
from notecast.v1.note_pb2 import Cursor
from notecast_runtime.keyspace import epoch_key, log_key, partition_of
from tests.support.services import Gateway, running_gateway, running_history
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

NOTES = 500
LEFT = 50
FIRST_LEFT = NOTES - LEFT + 1
RING_NOTES = 20


@asynccontextmanager
async def trimmed_room(valkey: ValkeyProcess) -> AsyncIterator[Gateway]:
    """A gateway that has heard nothing of a room from which most notes were removed."""
    async with (
        running_history(valkey.url, retention_notes=LEFT) as history,
        running_gateway(valkey.url) as writer,
    ):
        for _ in range(0, NOTES, 50):
            await asyncio.gather(*(writer.send("lobby", "hello") for _ in range(50)))
        with valkey.client() as store:
            await eventually(
                lambda: bool(store.xrange(log_key("lobby"), f"{NOTES}-0", count=1)),
                "all is persisted",
            )
            assert store.xlen(log_key("lobby")) == LEFT
        async with running_gateway(valkey.url, history, ring_notes=RING_NOTES) as gateway:
            yield gateway


async def told(gateway: Gateway, wanted: RoomSubscription) -> tuple[list[Event], list[int]]:
    """The breaks and the sequences of the notes of a replay."""
    breaks: list[Event] = []
    sequences: list[int] = []
    async with gateway.read(wanted) as reader:
        while not (event := await reader.event()).HasField("caught_up"):
            if event.HasField("discontinuity"):
                breaks.append(event)
            else:
                sequences.append(event.note.sequence)
    return breaks, sequences


def epoch_of(valkey: ValkeyProcess) -> int:
    with valkey.client() as store:
        return int(store.get(epoch_key(partition_of("lobby"))) or b"0")


async def test_however_much_was_removed_a_reader_is_told_of_one_break_or_of_none(
    valkey: ValkeyProcess,
) -> None:
    remaining = list(range(FIRST_LEFT, NOTES + 1))
    async with trimmed_room(valkey) as gateway:
        epoch = epoch_of(valkey)
        for start in ({"from_start": True}, {"last": NOTES - 1}, {"last": LEFT}):
            wanted = RoomSubscription(room="lobby", **start)
            assert await told(gateway, wanted) == ([], remaining)
        for sequence in (0, 1, FIRST_LEFT - 2):
            after = Cursor(epoch=epoch, sequence=sequence)
            breaks, shown = await told(gateway, RoomSubscription(room="lobby", after=after))
            (event,) = breaks
            assert event.discontinuity.after == after
            assert event.discontinuity.resumes_at.sequence == FIRST_LEFT
            assert shown == remaining
        after = Cursor(epoch=epoch, sequence=FIRST_LEFT - 1)
        assert await told(gateway, RoomSubscription(room="lobby", after=after)) == ([], remaining)


async def test_a_cursor_of_a_forgotten_epoch_resumes_at_what_retention_has_left(
    valkey: ValkeyProcess,
) -> None:
    async with trimmed_room(valkey) as gateway:
        epoch = epoch_of(valkey)
        after = Cursor(epoch=epoch - 1_000_000_000, sequence=3)
        breaks, shown = await told(gateway, RoomSubscription(room="lobby", after=after))
        (event,) = breaks
        assert event.discontinuity.after == after
        assert event.discontinuity.resumes_at == Cursor(epoch=epoch, sequence=FIRST_LEFT)
        assert shown == list(range(FIRST_LEFT, NOTES + 1))
