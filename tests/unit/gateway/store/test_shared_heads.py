"""Many who ask where rooms stand, and how often Redis is asked."""

import asyncio
from collections.abc import Iterable

import pytest

from chat_gateway.log.positions import Head
from chat_gateway.store.heads import Heads
from chat_gateway.store.shared_heads import SharedHeads
from notecast_runtime.errors import RedisUnavailableError


class GatedHeads(Heads):
    """Answers when it is let; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.newest = 0
        self.away = False
        self.unreadable: set[str] = set()
        self._may_answer = asyncio.Semaphore(0)

    async def read(self, rooms: Iterable[str]) -> dict[str, Head | RedisUnavailableError]:
        self.asked.append(set(rooms))
        newest = self.newest
        await self._may_answer.acquire()
        if self.away:
            raise RedisUnavailableError("away")
        fault = RedisUnavailableError("a key of the wrong type")
        return {
            room: fault if room in self.unreadable else Head(1, newest) for room in self.asked[-1]
        }

    async def answer(self) -> None:
        self._may_answer.release()
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def heads() -> GatedHeads:
    return GatedHeads()


@pytest.fixture
def shared(heads: GatedHeads) -> SharedHeads:
    return SharedHeads(heads)


async def ask(shared: SharedHeads, *rooms: str) -> asyncio.Task[dict[str, Head]]:
    asking = asyncio.create_task(shared.read(rooms))
    for _ in range(5):
        await asyncio.sleep(0)
    return asking


async def test_callers_that_ask_at_the_same_time_share_one_read(
    heads: GatedHeads, shared: SharedHeads
) -> None:
    asking = [asyncio.create_task(shared.read([f"room {n % 3}"])) for n in range(1_000)]
    await asyncio.sleep(0)
    await heads.answer()
    answers = await asyncio.gather(*asking)
    assert heads.asked == [{"room 0", "room 1", "room 2"}]
    assert all(f"room {n % 3}" in answer for n, answer in enumerate(answers))


async def test_what_is_told_was_read_after_it_was_asked_for(
    heads: GatedHeads, shared: SharedHeads
) -> None:
    early = await ask(shared, "lobby")
    heads.newest = 7  # after what was read, and before it was told
    late, other = await ask(shared, "lobby"), await ask(shared, "den")
    await heads.answer()
    assert (await early)["lobby"].sequence == 0
    assert not late.done()
    await heads.answer()
    assert (await late)["lobby"].sequence == (await other)["den"].sequence == 7
    assert heads.asked == [{"lobby"}, {"lobby", "den"}]


async def test_one_who_gives_up_leaves_the_others_their_answer(
    heads: GatedHeads, shared: SharedHeads
) -> None:
    first = asyncio.create_task(shared.read(["lobby"]))
    second = await ask(shared, "lobby")
    first.cancel()
    await heads.answer()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert "lobby" in await second


async def test_a_room_of_which_nothing_can_be_told_is_an_error_only_for_callers_that_asked_for_it(
    heads: GatedHeads, shared: SharedHeads
) -> None:
    heads.unreadable.add("broken")
    asking = [
        asyncio.create_task(shared.read(rooms))
        for rooms in (["lobby"], ["lobby", "broken"], ["broken"])
    ]
    await asyncio.sleep(0)
    await heads.answer()
    assert await asking[0] == {"lobby": Head(1, 0)}
    for each in asking[1:]:
        with pytest.raises(RedisUnavailableError, match="wrong type"):
            await each


async def test_all_who_asked_are_told_that_redis_is_away_and_the_next_one_asks_again(
    heads: GatedHeads, shared: SharedHeads
) -> None:
    heads.away = True
    asking = [asyncio.create_task(shared.read(["lobby"])) for _ in range(3)]
    await asyncio.sleep(0)
    await heads.answer()
    for each in asking:
        with pytest.raises(RedisUnavailableError):
            await each
    heads.away = False
    again = await ask(shared, "lobby")
    await heads.answer()
    assert "lobby" in await again
