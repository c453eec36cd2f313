"""What ListNotes promises of its pages."""

import asyncio
from typing import Any

import pytest
import redis
from redis.asyncio.connection import Connection

from history.outbox_tail import OutboxTail, TailPage
from history.paging import NotesPage, Pager
from history.room_log import RoomLog
from notecast.v1.history_pb2 import LoggedNote
from notecast_runtime.keyspace import log_key, outbox_key, partition_of
from notecast_runtime.redis.client import Redis
from tests.support.history_parts import as_replayed, persist_all
from tests.support.outbox_writer import AcceptedNote, OutboxWriter

ROOM = "kitchen"
PARTITION = partition_of(ROOM)


async def accept_hundred(client: Redis, writer: OutboxWriter, persisted: int) -> list[AcceptedNote]:
    """Accepts 100 notes, of which the first are persisted."""
    accepted = writer.accept_all(ROOM, [f"{i}" for i in range(persisted)])
    await persist_all(client, PARTITION)
    return accepted + writer.accept_all(ROOM, [f"{i}" for i in range(persisted, 100)])


def pager(client: Redis, page_entries: int = 256) -> Pager:
    return Pager(RoomLog(client), OutboxTail(client, page_entries))


@pytest.mark.parametrize("persisted", [0, 40, 95, 100])
@pytest.mark.parametrize("page_entries", [7, 256])
async def test_pages_counted_backwards_give_the_whole_log(
    client: Redis, writer: OutboxWriter, persisted: int, page_entries: int
) -> None:
    accepted = await accept_hundred(client, writer, persisted)
    found: list[LoggedNote] = []
    before = 0
    has_older = True
    while has_older:
        notes, has_older = await pager(client, page_entries).page(ROOM, before, 30)
        found = notes + found
        before = notes[0].sequence
        assert len(notes) == (30 if has_older else 10)
    assert found == as_replayed(accepted)


async def test_a_page_of_notes_that_are_persisted_takes_one_exchange_with_redis(
    client: Redis, writer: OutboxWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = as_replayed(await accept_hundred(client, writer, 100))
    subject = pager(client)
    exchanges = 0
    send = Connection.send_packed_command

    async def counted(self: Connection, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - redis-py's
        nonlocal exchanges
        exchanges += 1
        await send(self, *arguments, **named)

    monkeypatch.setattr(Connection, "send_packed_command", counted)
    for before, expected in ((0, accepted[70:]), (51, accepted[20:50])):
        assert await subject.page(ROOM, before, 30) == NotesPage(expected, has_older=True)
    assert exchanges == 2


@pytest.mark.parametrize("persisted", [0, 40, 100])
async def test_a_page_that_ends_the_log_has_nothing_older(
    client: Redis, writer: OutboxWriter, persisted: int
) -> None:
    accepted = as_replayed(await accept_hundred(client, writer, persisted))
    subject = pager(client)
    assert await subject.page(ROOM, 0, 100) == NotesPage(accepted, has_older=False)
    assert await subject.page(ROOM, 0, 99) == NotesPage(accepted[1:], has_older=True)
    assert await subject.page(ROOM, 2, 10) == NotesPage(accepted[:1], has_older=False)
    assert await subject.page(ROOM, 1, 10) == NotesPage([], has_older=False)
    assert await subject.page(ROOM, 2**64 - 1, 1) == NotesPage(accepted[99:], has_older=True)


async def test_a_room_without_notes_has_an_empty_page(client: Redis) -> None:
    assert await pager(client).page(ROOM, 0, 10) == NotesPage([], has_older=False)


async def test_what_retention_removed_is_not_older(client: Redis, writer: OutboxWriter) -> None:
    accepted = as_replayed(writer.accept_all(ROOM, [f"{i}" for i in range(100)]))
    await persist_all(client, PARTITION, retention_notes=10)
    assert await pager(client).page(ROOM, 0, 50) == NotesPage(accepted[90:], has_older=False)
    assert await pager(client).page(ROOM, 50, 50) == NotesPage([], has_older=False)


async def test_a_log_that_retention_emptied_has_an_empty_page(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    writer.accept_all(ROOM, ["one", "two"])
    await persist_all(client, PARTITION)
    store.xtrim(log_key(ROOM), maxlen=0, approximate=False)
    assert await pager(client).page(ROOM, 0, 50) == NotesPage([], has_older=False)


class PersistingTail(OutboxTail):
    """Lets everything be persisted, and trimmed from the outbox, once a page is read."""

    def __init__(self, client: Redis, store: redis.Redis) -> None:
        super().__init__(client, page_entries=8)
        self._client = client
        self._store = store

    async def read(self, room: str, position: bytes | None) -> TailPage:
        page = await super().read(room, position)
        await persist_all(self._client, PARTITION)
        self._store.xtrim(outbox_key(PARTITION), maxlen=0, approximate=False)
        return page


async def test_what_is_persisted_and_trimmed_between_the_reads_is_in_the_page(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    accepted = as_replayed(await accept_hundred(client, writer, 40))
    subject = Pager(RoomLog(client), PersistingTail(client, store))
    assert await subject.page(ROOM, 0, 70) == NotesPage(accepted[30:], has_older=True)


async def test_a_page_of_large_notes_fits_into_a_message(
    client: Redis, writer: OutboxWriter
) -> None:
    accepted = as_replayed(writer.accept_all(ROOM, ["x" * 16_000 + str(i) for i in range(300)]))
    async with asyncio.timeout(10):
        notes, has_older = await pager(client).page(ROOM, 0, 500)
    assert has_older
    assert 100 < len(notes) < 200
    assert notes == accepted[-len(notes) :]


async def test_a_room_whose_key_holds_no_stream_has_a_page_of_what_is_readable(
    client: Redis, store: redis.Redis, writer: OutboxWriter
) -> None:
    store.set(log_key(ROOM), "no stream")
    accepted = as_replayed(writer.accept_all(ROOM, ["one", "two"]))
    assert await pager(client).page(ROOM, 0, 50) == NotesPage(accepted, has_older=False)
    await persist_all(client, PARTITION)
    assert await pager(client).page(ROOM, 0, 50) == NotesPage([], has_older=False)
