"""Entries that can't be read, in the middle of a room's stream: the others are all found."""

import pytest
import redis

from history.outbox_tail import OutboxTail
from history.paging import Pager
from history.replay import Replayer
from history.room_log import RoomLog
from notecast_runtime.keyspace import heads_key, log_key, partition_of
from notecast_runtime.redis.client import Redis

ROOM = "kitchen"
GOOD = {"e": 1_700_000_000_000, "o": "1-0", "n": b""}
BAD = {"e": 1_700_000_000_000, "o": "1-0", "n": b"\xff no note"}


def write(store: redis.Redis, count: int, unreadable: range) -> list[int]:
    """A persisted room; gives the sequences that can be read."""
    for sequence in range(1, count + 1):
        store.xadd(log_key(ROOM), BAD if sequence in unreadable else GOOD, id=f"{sequence}-0")  # type: ignore[arg-type]
    store.hset(heads_key(partition_of(ROOM)), ROOM, count)
    return [sequence for sequence in range(1, count + 1) if sequence not in unreadable]


@pytest.mark.parametrize("unreadable", [range(40, 41), range(1, 30), range(20, 90), range(90, 101)])
async def test_pages_lead_past_what_can_not_be_read(
    client: Redis, store: redis.Redis, unreadable: range
) -> None:
    readable = write(store, 100, unreadable)
    pager = Pager(RoomLog(client), OutboxTail(client))
    found: list[int] = []
    before, has_older = 0, True
    while has_older:
        page = await pager.page(ROOM, before, 10)
        found = [note.sequence for note in page.notes] + found
        has_older = page.has_older and bool(page.notes)
        before = page.notes[0].sequence if page.notes else 0
    assert found == readable


@pytest.mark.parametrize("unreadable", [range(5, 6), range(1, 40), range(30, 80), range(90, 101)])
async def test_a_replay_leads_past_more_than_a_page_that_can_not_be_read(
    client: Redis, store: redis.Redis, unreadable: range
) -> None:
    readable = write(store, 100, unreadable)
    replayer = Replayer(RoomLog(client), OutboxTail(client), page_notes=10)
    found = [
        note.sequence async for response in replayer.replay(ROOM, 0, 0) for note in response.notes
    ]
    assert found == readable


async def test_a_replay_of_nothing_readable_says_that_nothing_was_removed(
    client: Redis, store: redis.Redis
) -> None:
    write(store, 30, range(1, 31))
    replayer = Replayer(RoomLog(client), OutboxTail(client), page_notes=10)
    (response,) = [response async for response in replayer.replay(ROOM, 0, 0)]
    assert not response.notes
    assert response.first_remaining == 1
    assert response.head_sequence == 30
