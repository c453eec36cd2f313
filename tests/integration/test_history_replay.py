"""What Replay promises of what it reads."""

import asyncio

import pytest
import redis
from structlog.testing import capture_logs

from history.outbox_tail import OutboxTail, TailPage
from history.replay import Replayer
from history.room_log import LogPage, RoomLog
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.keyspace import (
    heads_key,
    log_key,
    outbox_key,
    partition_of,
    persisted_key,
)
from notecast_runtime.redis.client import Redis
from tests.support.history_parts import (
    as_replayed,
    neighbour_of,
    persist_all,
    persister,
    quick_reader,
)
from tests.support.outbox_writer import OutboxWriter

ROOM = "kitchen"
PARTITION = partition_of(ROOM)
NEIGHBOUR = neighbour_of(ROOM)


async def replay(
    client: Redis,
    after: int = 0,
    through: int = 0,
    tail: OutboxTail | None = None,
    page_notes: int = 256,
) -> tuple[list[LoggedNote], int]:
    """The notes of a replay, and the first response's `first_remaining`."""
    replayer = Replayer(RoomLog(client), tail or OutboxTail(client), page_notes)
    responses = [response async for response in replayer.replay(ROOM, after, through)]
    assert responses, "there is always a first response"
    assert not any(response.first_remaining for response in responses[1:])
    notes = [note for response in responses for note in response.notes]
    sequences = [note.sequence for note in notes]
    assert sequences == sorted(set(sequences))
    return notes, responses[0].first_remaining


class PausedTail(OutboxTail):
    """Waits on either side of its first reading until it is let go."""

    def __init__(self, client: Redis, page_entries: int = 256) -> None:
        super().__init__(client, page_entries)
        self.before = Gate()
        self.after = Gate()

    async def read(self, room: str, position: bytes | None) -> TailPage:
        await self.before.pass_through()
        page = await super().read(room, position)
        await self.after.pass_through()
        return page


class Gate:
    """Open, unless a test has shut it."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()
        self.open()

    def shut(self) -> None:
        self._opened.clear()

    def open(self) -> None:
        self._opened.set()

    async def pass_through(self) -> None:
        self.reached.set()
        await self._opened.wait()


async def test_a_note_is_replayable_before_it_is_persisted(
    client: Redis, writer: OutboxWriter
) -> None:
    accepted = writer.accept_all(ROOM, ["one", "two"])
    assert await replay(client) == (as_replayed(accepted), 1)


async def test_persisted_notes_and_those_on_their_way_make_one_log(
    client: Redis, writer: OutboxWriter
) -> None:
    accepted = writer.accept_all(ROOM, [f"persisted {i}" for i in range(300)])
    writer.accept_all(NEIGHBOUR, [f"persisted {i}" for i in range(300)])
    await persist_all(client, PARTITION)
    for i in range(300):
        accepted += [writer.accept(ROOM, f"on its way {i}")]
        writer.accept(NEIGHBOUR, f"on its way {i}")
    assert await replay(client) == (as_replayed(accepted), 1)


@pytest.mark.parametrize("persisted", [0, 40, 100])
@pytest.mark.parametrize("page_notes", [1, 7, 20, 256])
async def test_the_range_begins_after_after_and_ends_with_through(
    client: Redis, writer: OutboxWriter, persisted: int, page_notes: int
) -> None:
    accepted = writer.accept_all(ROOM, [f"{i}" for i in range(persisted)])
    await persist_all(client, PARTITION)
    accepted += writer.accept_all(ROOM, [f"{i}" for i in range(persisted, 100)])
    tail = OutboxTail(client, page_entries=9)
    for after, through in ((0, 100), (0, 20), (19, 20), (20, 60), (60, 90), (99, 0), (30, 1000)):
        notes, first_remaining = await replay(client, after, through, tail, page_notes)
        assert notes == as_replayed(accepted)[after : through or 100]
        assert first_remaining == after + 1


@pytest.mark.parametrize("page_entries", [8, 256])
@pytest.mark.parametrize("side", ["before", "after"])
async def test_what_is_persisted_and_trimmed_between_the_reads_is_replayed_all_the_same(
    client: Redis, store: redis.Redis, writer: OutboxWriter, side: str, page_entries: int
) -> None:
    """A note that moves from the outbox to the stream between two reads is in one of them."""
    accepted = writer.accept_all(ROOM, [f"persisted {i}" for i in range(10)])
    await persist_all(client, PARTITION)
    accepted += writer.accept_all(ROOM, [f"on its way {i}" for i in range(30)])
    tail = PausedTail(client, page_entries)
    gate = tail.before if side == "before" else tail.after
    gate.shut()
    replaying = asyncio.create_task(replay(client, tail=tail))
    await gate.reached.wait()
    await persist_all(client, PARTITION)
    store.xtrim(outbox_key(PARTITION), maxlen=0, approximate=False)
    gate.open()
    assert await replaying == (as_replayed(accepted), 1)


@pytest.mark.parametrize("side", ["before", "after"])
async def test_pages_that_are_persisted_between_the_reads_leave_no_hole_before_the_tail(
    client: Redis, writer: OutboxWriter, side: str
) -> None:
    accepted = writer.accept_all(ROOM, [f"on its way {i}" for i in range(60)])
    tail = PausedTail(client)
    gate = tail.before if side == "before" else tail.after
    gate.shut()
    replaying = asyncio.create_task(replay(client, tail=tail, page_notes=15))
    await gate.reached.wait()
    subject = quick_reader(client, batch_notes=40)
    reading = await subject.read(await subject.positions([PARTITION]))
    await persister(client).persist(reading.batches)
    gate.open()
    assert await replaying == (as_replayed(accepted), 1)


async def test_a_replay_ends_with_what_was_acknowledged_when_it_began(
    client: Redis, writer: OutboxWriter
) -> None:
    accepted = writer.accept_all(ROOM, ["one", "two"])
    tail = PausedTail(client, page_entries=1)
    tail.before.shut()
    replaying = asyncio.create_task(replay(client, tail=tail))
    await tail.before.reached.wait()
    writer.accept_all(ROOM, ["three", "four"])
    tail.before.open()
    assert await replaying == (as_replayed(accepted), 1)


async def test_a_cursor_older_than_retention_is_told_what_remains(
    client: Redis, writer: OutboxWriter
) -> None:
    accepted = writer.accept_all(ROOM, [f"{i}" for i in range(100)])
    await persist_all(client, PARTITION, retention_notes=10)
    assert await replay(client, after=5) == (as_replayed(accepted)[90:], 91)


async def test_what_remains_is_told_where_the_whole_range_is_gone(
    client: Redis, writer: OutboxWriter
) -> None:
    writer.accept_all(ROOM, [f"{i}" for i in range(100)])
    await persist_all(client, PARTITION, retention_notes=10)
    assert await replay(client, after=5, through=50) == ([], 91)


async def test_an_empty_range_is_told_what_comes_after_it(
    client: Redis, writer: OutboxWriter
) -> None:
    writer.accept_all(ROOM, ["one", "two", "three"])
    assert await replay(client, after=2, through=2) == ([], 3)


@pytest.mark.parametrize("after", [0, 3, 7, 2**64 - 1])
async def test_where_nothing_remains_the_next_sequence_is_told(
    client: Redis, store: redis.Redis, writer: OutboxWriter, after: int
) -> None:
    writer.accept_all(ROOM, ["one", "two", "three"])
    await persist_all(client, PARTITION)
    store.xtrim(log_key(ROOM), maxlen=0, approximate=False)
    assert await replay(client, after=after) == ([], 4)


async def test_a_room_without_notes_begins_with_sequence_1(client: Redis) -> None:
    assert await replay(client) == ([], 1)


async def test_large_notes_come_in_responses_of_bounded_size(
    client: Redis, writer: OutboxWriter
) -> None:
    accepted = writer.accept_all(ROOM, ["x" * 16_000 + str(i) for i in range(100)])
    await persist_all(client, PARTITION)
    accepted += writer.accept_all(ROOM, ["y" * 16_000 + str(i) for i in range(100)])
    replayer = Replayer(RoomLog(client), OutboxTail(client))
    responses = [response async for response in replayer.replay(ROOM, 0, 0)]
    assert all(response.ByteSize() <= 256 * 1024 + 64 for response in responses)
    assert len(responses) <= 2 * 200 * 16_100 // (256 * 1024), "and are not needlessly many"
    assert [note for response in responses for note in response.notes] == as_replayed(accepted)


class WatchedLog(RoomLog):
    """Remembers how many notes each read of a stream has given."""

    def __init__(self, client: Redis) -> None:
        super().__init__(client)
        self.read: list[int] = []

    async def forward(self, room: str, after: int, through: int, count: int) -> LogPage:
        page = await super().forward(room, after, through, count)
        self.read.append(len(page.notes))
        return page


async def test_no_more_than_about_a_response_is_read_ahead_of_a_caller_that_may_give_up(
    client: Redis, writer: OutboxWriter
) -> None:
    writer.accept_all(ROOM, ["x" * 16_000 + str(i) for i in range(100)])
    await persist_all(client, PARTITION)
    log = WatchedLog(client)
    responses = Replayer(log, OutboxTail(client)).replay(ROOM, 0, 0)
    assert len((await anext(responses)).notes) == 16
    assert log.read == [16]
    await anext(responses)
    assert log.read == [16, 16]
    await responses.aclose()


async def test_nothing_is_read_after_the_response_that_brings_enough(
    client: Redis, writer: OutboxWriter
) -> None:
    accepted = writer.accept_all(ROOM, ["x" * 16_000 + str(i) for i in range(100)])
    await persist_all(client, PARTITION)
    for enough_bytes, responses in ((100_000, 1), (300_000, 2), (10_000_000, 7)):
        log = WatchedLog(client)
        replay = Replayer(log, OutboxTail(client)).replay(ROOM, 0, 0, enough_bytes)
        answered = [response async for response in replay]
        assert len(answered) == len(log.read) == responses
        notes = [note for response in answered for note in response.notes]
        assert notes == as_replayed(accepted)[: 16 * responses]


async def test_small_notes_take_few_reads_wherever_large_ones_are(
    client: Redis, writer: OutboxWriter
) -> None:
    texts = [f"{i}" for i in range(600)]
    texts[100:100] = ["x" * 16_000] * 20
    accepted = writer.accept_all(ROOM, texts)
    await persist_all(client, PARTITION)
    log = WatchedLog(client)
    responses = [each async for each in Replayer(log, OutboxTail(client)).replay(ROOM, 0, 0)]
    assert [note for each in responses for note in each.notes] == as_replayed(accepted)
    assert log.read[:3] == [16, 64, 256]
    assert len(log.read) == 5, log.read


async def test_small_notes_come_in_responses_of_256_at_most(
    client: Redis, writer: OutboxWriter
) -> None:
    writer.accept_all(ROOM, [f"{i}" for i in range(600)])
    replayer = Replayer(RoomLog(client), OutboxTail(client))
    counts = [len(response.notes) async for response in replayer.replay(ROOM, 0, 0)]
    assert sum(counts) == 600
    assert max(counts) <= 256


async def test_corrupt_entries_are_left_out_of_a_replay(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    accepted = [writer.accept(ROOM)]
    await persist_all(client, PARTITION)
    store.xadd(log_key(ROOM), {"n": b"no epoch"}, id="2-0")
    store.hset(heads_key(PARTITION), ROOM, "2")
    accepted.append(writer.accept(ROOM))
    store.xadd(outbox_key(PARTITION), {"r": ROOM, "e": 1, "s": "no number", "n": b"x"})
    accepted.append(writer.accept(ROOM))
    with capture_logs() as logs:
        assert await replay(client) == (as_replayed(accepted), 1)
    assert "log_entry_corrupt" in {line["event"] for line in logs}


async def test_persisting_that_lags_far_behind_hides_nothing(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    first = writer.accept(ROOM, "first")
    writer.accept_all(NEIGHBOUR, [f"{i}" for i in range(2000)])
    last = writer.accept(ROOM, "last")
    assert await replay(client) == (as_replayed([first, last]), 1)
    assert not store.exists(persisted_key(PARTITION))


async def test_a_note_that_no_longer_decodes_is_left_out_wherever_it_is(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    accepted = [writer.accept(ROOM)]
    await persist_all(client, PARTITION)
    store.xadd(log_key(ROOM), {"e": 1, "o": "1-1", "n": b"no note"}, id="2-0")
    store.hset(heads_key(PARTITION), ROOM, "3")
    store.xadd(outbox_key(PARTITION), {"r": ROOM, "e": 1, "s": 3, "n": b"no note"})
    accepted.append(writer.accept(ROOM))
    assert await replay(client) == (as_replayed(accepted), 1)


async def test_of_a_room_whose_key_holds_no_stream_what_is_readable_is_replayed(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept(ROOM)
    store.set(log_key(ROOM), "no stream")
    await persist_all(client, PARTITION)
    on_its_way = [writer.accept(ROOM), writer.accept(ROOM)]
    with capture_logs() as logs:
        assert await replay(client) == (as_replayed(on_its_way), 2)
    assert ("room_key_is_no_stream", ROOM) in {(line["event"], line["room"]) for line in logs}
    await persist_all(client, PARTITION)
    assert await replay(client) == ([], 4)
    store.delete(log_key(ROOM))  # as an operator would
    accepted = [writer.accept(ROOM)]
    await persist_all(client, PARTITION)
    assert await replay(client) == (as_replayed(accepted), 4)
