"""Redis restarts, with its data or without its newest: nobody waits, and who must know is told."""

import pytest
from grpc import aio

from notecast.v1.event_pb2 import Discontinuity
from notecast.v1.note_pb2 import Note
from tests.support.health import wait_for_health, wait_until_serving
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


async def send_when_back(gateway: Gateway, text: str) -> None:
    """Sends a note once Redis is there again."""

    async def sent() -> bool:
        try:
            await gateway.send("lobby", text)
        except aio.AioRpcError:
            return False
        return True

    await eventually(sent, f"{text} is sent")


async def test_a_restart_with_all_data_is_no_break(valkey: ValkeyProcess) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        gateway.read("lobby") as reader,
    ):
        for number in range(3):
            await gateway.send("lobby", f"n{number}")
        seen = await reader.notes(3)
        for round_ in range(2):
            valkey.kill()
            await wait_for_health(gateway.target, "NOT_SERVING")
            valkey.start()
            await send_when_back(gateway, f"after {round_}")
            event = await reader.event()
            assert event.note.text == f"after {round_}"
            assert event.note.epoch > seen[-1].epoch
            seen.append(event.note)
        assert [note.sequence for note in seen] == [1, 2, 3, 4, 5]
        for note in seen:
            async with gateway.read(behind(note)) as resumed:
                missing = texts(seen)[note.sequence :]
                assert await resumed.kinds(len(missing) + 1) == [*missing, "caught_up"]


async def lose_the_newest(valkey: ValkeyProcess, gateway: Gateway) -> None:
    """Six notes were accepted, and Redis comes back with four of them."""
    for number in range(1, 5):
        await gateway.send("lobby", f"kept{number}")
    valkey.save_copy()
    for number in range(5, 7):
        await gateway.send("lobby", f"lost{number}")


async def test_a_stream_that_showed_lost_notes_is_told_and_goes_on(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        gateway.read("lobby") as reader,
    ):
        await lose_the_newest(valkey, gateway)
        last = (await reader.notes(6))[-1]
        valkey.restart_from_copy()
        await send_when_back(gateway, "new5")
        event = await reader.event()
        told = event.discontinuity
        assert told.reason == Discontinuity.REASON_EPOCH
        assert (told.after.epoch, told.after.sequence) == (last.epoch, 6)
        assert told.resumes_at.sequence == 5
        assert told.resumes_at.epoch > last.epoch
        (note,) = await reader.notes(1)
        assert (note.text, note.sequence) == ("new5", 5)


async def test_a_cursor_holds_up_to_where_the_old_epoch_ended_and_no_further(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        async with gateway.read("lobby") as reader:
            await lose_the_newest(valkey, gateway)
            seen: list[Note] = await reader.notes(6)
        valkey.restart_from_copy()
        await send_when_back(gateway, "new5")
        await gateway.send("lobby", "new6")
        async with gateway.read(behind(seen[1])) as inside:
            expected = ["kept3", "kept4", "new5", "new6", "caught_up"]
            assert await inside.kinds(5) == expected
        async with gateway.read(behind(seen[5])) as beyond:
            event = await beyond.event()
            assert event.discontinuity.after.sequence == 6
            assert event.discontinuity.resumes_at.sequence == 5
            assert await beyond.kinds(3) == ["new5", "new6", "caught_up"]


async def test_an_epoch_that_redis_has_forgotten_costs_no_more_than_what_was_lost(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        gateway.read("lobby") as reader,
    ):
        await lose_the_newest(valkey, gateway)
        await reader.notes(6)
        valkey.kill()
        valkey.start()
        await send_when_back(gateway, "of a forgotten epoch")
        (last,) = await reader.notes(1)
        valkey.restart_from_copy()  # from before that epoch began
        await send_when_back(gateway, "new5")
        told = (await reader.event()).discontinuity
        assert (told.after.epoch, told.after.sequence) == (last.epoch, 7)
        assert told.resumes_at.sequence == 5
        assert texts(await reader.notes(1)) == ["new5"]
        async with gateway.read(behind(last)) as resumed:
            assert await resumed.kinds(3) == ["discontinuity", "new5", "caught_up"]


async def test_a_cursor_of_a_forgotten_log_is_told_and_gets_the_new_one(
    valkey: ValkeyProcess,
) -> None:
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
    ):
        async with gateway.read("lobby") as reader:
            await gateway.send("lobby", "old1")
            await gateway.send("lobby", "old2")
            last = (await reader.notes(2))[-1]
        with valkey.client() as redis:
            redis.flushall()
        await gateway.send("lobby", "new1")
        async with gateway.read(behind(last)) as resumed:
            assert await resumed.kinds(3) == ["discontinuity", "new1", "caught_up"]


@pytest.mark.parametrize("persisted", [False, True])
async def test_what_a_history_away_meanwhile_would_persist_is_what_redis_accepted(
    valkey: ValkeyProcess,
    persisted: bool,  # noqa: FBT001 - a case of the test
) -> None:
    async with running_gateway(valkey.url) as gateway:
        await lose_the_newest(valkey, gateway)
        if persisted:
            async with (
                running_history(valkey.url) as history,
                running_gateway(valkey.url, history) as other,
                other.read(from_start("lobby")) as reader,
            ):
                await reader.notes(6)
        valkey.restart_from_copy()
        await send_when_back(gateway, "new5")
    async with (
        running_history(valkey.url) as history,
        running_gateway(valkey.url, history) as gateway,
        gateway.read(from_start("lobby")) as reader,
    ):
        await wait_until_serving(history)
        assert texts(await reader.notes(5)) == ["kept1", "kept2", "kept3", "kept4", "new5"]
