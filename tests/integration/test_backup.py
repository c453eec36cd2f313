"""A backup of Redis, taken and restored as docs/operations.md says."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from grpc import aio

from notecast.v1.event_pb2 import Discontinuity
from notecast.v1.note_pb2 import Note
from tests.support.reading_client import ReadingClient
from tests.support.services import (
    Gateway,
    behind,
    from_start,
    running_gateway,
    running_history,
    texts,
)
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

RESTORE = Path(__file__).parents[2] / "deploy" / "redis" / "restore.sh"
ROOM = "lobby"


async def backed_up(valkey: ValkeyProcess, folder: Path) -> bytes:
    """The data as they are now, as `redis-cli --rdb` brings them, while Redis goes on serving."""
    with valkey.client() as store:
        store.bgsave()
        await eventually(lambda: not store.info("persistence")["rdb_bgsave_in_progress"], "saved")
        assert store.info("persistence")["rdb_last_bgsave_status"] == "ok"
    return (folder / "dump.rdb").read_bytes()


def restore(folder: Path, backup: bytes) -> subprocess.CompletedProcess[bytes]:
    """Runs what an operator would run on the folder of a Redis."""
    command = ["sh", str(RESTORE), str(folder)]
    return subprocess.run(command, input=backup, capture_output=True, timeout=20, check=False)


@contextmanager
def new_valkey_in_place_of(old: ValkeyProcess, folder: Path, backup: bytes) -> Iterator[None]:
    """Another Valkey, in another folder, that holds the backup, at the old one's address."""
    old.kill()
    folder.mkdir()
    assert restore(folder, backup).returncode == 0
    valkey = ValkeyProcess(folder)
    valkey.port = old.port
    with valkey:
        yield


async def send(gateway: Gateway, numbers: range) -> None:
    for number in numbers:
        await gateway.send(ROOM, f"note {number}")


async def send_when_back(gateway: Gateway, text: str) -> None:
    async def sent() -> bool:
        try:
            await gateway.send(ROOM, text)
        except aio.AioRpcError:
            return False
        return True

    await eventually(sent, f"{text} is sent", 20)


async def notes_of(gateway: Gateway, count: int) -> list[Note]:
    async with gateway.read(from_start(ROOM)) as reader:
        return await reader.notes(count)


async def test_after_a_restore_the_backup_s_notes_are_there_and_who_saw_later_ones_is_told(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        ReadingClient(gateway.target, ROOM) as watching,
    ):
        await send(gateway, range(30))
        backup = await backed_up(valkey, tmp_path / "valkey")
        await send(gateway, range(30, 50))
        before = await notes_of(gateway, 50)
        await watching.holds(50)

        with new_valkey_in_place_of(valkey, tmp_path / "new", backup):
            await send_when_back(gateway, "a new note")
            after = await notes_of(gateway, 31)
            assert texts(after) == [*texts(before[:30]), "a new note"]
            assert [note.sequence for note in after] == list(range(1, 32))

            # A client that had nothing that is lost goes on where it stood, and hears of no break.
            for note in (before[9], before[29]):
                async with gateway.read(behind(note)) as resumed:
                    missing = texts(after)[note.sequence :]
                    assert await resumed.kinds(len(missing) + 1) == [*missing, "caught_up"]

            # A client that had something that is lost hears of it, and gets each new note once.
            async with gateway.read(behind(before[39])) as resumed:
                told = (await resumed.event()).discontinuity
                assert told.reason == Discontinuity.REASON_EPOCH
                assert (told.after.sequence, told.resumes_at.sequence) == (40, 31)
                assert await resumed.kinds(2) == ["a new note", "caught_up"]
            await watching.holds(51)
            assert watching.texts == [*texts(before), "a new note"]
            assert len(watching.discontinuities) == 1


async def test_what_was_not_yet_persisted_when_the_backup_was_taken_is_in_it(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    async with running_gateway(valkey.url) as gateway:
        await send(gateway, range(30))
    backup = await backed_up(valkey, tmp_path / "valkey")
    with new_valkey_in_place_of(valkey, tmp_path / "new", backup):
        async with (
            running_history(valkey.url) as history,
            running_gateway(valkey.url, history) as gateway,
        ):
            found = texts(await notes_of(gateway, 30))
    assert found == [f"note {number}" for number in range(30)]


async def test_a_restored_redis_keeps_what_it_is_given_and_the_files_of_before_stay(
    valkey: ValkeyProcess, tmp_path: Path
) -> None:
    with valkey.client() as store:
        store.set("in", "the backup")
        backup = await backed_up(valkey, tmp_path / "valkey")
        store.set("of", "later")
        # In its own folder, while it runs: it counts from the next start on.
        assert restore(tmp_path / "valkey", backup).returncode == 0
        valkey.stop()
        valkey.start()
        assert store.mget("in", "of") == [b"the backup", None]
        store.set("new", "one")
        valkey.kill()
        valkey.start()
        assert store.mget("in", "of", "new") == [b"the backup", None, b"one"]
    assert list((tmp_path / "valkey" / "before-restore").glob("*.manifest"))


@pytest.mark.parametrize("backup", [b"", b"no backup"])
async def test_what_is_no_backup_changes_nothing(
    valkey: ValkeyProcess, tmp_path: Path, backup: bytes
) -> None:
    with valkey.client() as store:
        store.set("kept", "yes")
        done = restore(tmp_path / "valkey", backup)
        assert done.returncode != 0
        assert b"no RDB file" in done.stderr
        valkey.stop()
        valkey.start()
        assert store.get("kept") == b"yes"
