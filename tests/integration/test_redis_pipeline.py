"""Commands of many callers on one connection: in order, bounded, in time, and never sent twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from hiredis import ReplyError

from notecast_runtime.errors import OverloadedError, RedisUnavailableError
from notecast_runtime.redis.connection import MAX_IN_FLIGHT, pack
from notecast_runtime.redis.connector import RedisConnector
from notecast_runtime.redis.epoch_guard import EpochGuard
from notecast_runtime.redis.pipeline import RedisPipeline
from notecast_wire import Deadlines
from tests.chaos.proxy import Proxy, ReplyTrap
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


class Calls:
    """A pipeline that runs."""

    def __init__(self, pipeline: RedisPipeline) -> None:
        self.pipeline = pipeline

    async def __call__(self, *command: str | bytes | int, seconds: float = 10) -> Any:  # noqa: ANN401 - Redis's
        deadline = asyncio.get_running_loop().time() + seconds
        return await self.pipeline.call(pack(command), deadline)

    async def all(self, *calls: Any) -> list[Any]:  # noqa: ANN401 - any calls
        return await asyncio.gather(*calls, return_exceptions=True)


@asynccontextmanager
async def calling(url: str, timeout_seconds: float = 2) -> AsyncIterator[Calls]:
    connector = RedisConnector(url, EpochGuard(), timeout_seconds)
    pipeline = RedisPipeline(connector, Deadlines(asyncio.get_running_loop()))
    running = asyncio.create_task(pipeline.run())
    try:
        call = Calls(pipeline)
        await call("PING")
        yield call
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def reads_of(valkey: ValkeyProcess) -> int:
    """How often Valkey has read from sockets."""
    with valkey.client() as redis:
        return int(redis.info("stats")["total_reads_processed"])


async def test_everyone_gets_his_own_answer(valkey: ValkeyProcess) -> None:
    async with calling(valkey.url) as call:
        sent = [str(number).encode() for number in range(3_000)]
        assert await call.all(*(call("ECHO", payload) for payload in sent)) == sent


async def test_the_same_on_uvloop(valkey: ValkeyProcess) -> None:
    async def exchange() -> list[Any]:
        async with calling(valkey.url) as call:
            return await call.all(*(call("ECHO", number) for number in range(3_000)))

    answers = await asyncio.to_thread(uvloop.run, exchange())
    assert answers == [str(number).encode() for number in range(3_000)]


async def test_what_is_asked_in_one_turn_goes_out_at_once(valkey: ValkeyProcess) -> None:
    async with calling(valkey.url) as call:
        before = reads_of(valkey)
        await call.all(*(call("PING") for _ in range(200)))
        # One of these, a few of looking, and the connection's own pings.
        assert reads_of(valkey) - before < 20


async def test_a_refusal_is_an_answer_and_the_others_are_not_touched(
    valkey: ValkeyProcess,
) -> None:
    async with calling(valkey.url) as call:
        await call("SET", "text", "x")
        one, refused, two = await call.all(call("ECHO", "1"), call("INCR", "text"), call("PING"))
        assert (one, two) == (b"1", b"PONG")
        assert isinstance(refused, ReplyError)


async def test_more_than_a_socket_takes_goes_through_all_the_same(valkey: ValkeyProcess) -> None:
    payloads = [bytes([number]) * 4_000_000 for number in range(8)]
    async with calling(valkey.url, timeout_seconds=20) as call:
        assert await call.all(*(call("ECHO", payload) for payload in payloads)) == payloads


async def test_what_is_not_in_flight_by_its_deadline_is_never_sent(valkey: ValkeyProcess) -> None:
    async with calling(valkey.url) as call:
        valkey.pause()
        outcomes = await call.all(
            *(call("INCR", "count", seconds=0.3) for _ in range(MAX_IN_FLIGHT + 500))
        )
        valkey.resume()
        assert all(isinstance(outcome, RedisUnavailableError) for outcome in outcomes)
        await call("PING")
        assert 0 < int(await call("GET", "count")) <= MAX_IN_FLIGHT


async def test_no_more_than_so_many_wait(valkey: ValkeyProcess) -> None:
    async with calling(valkey.url) as call:
        valkey.pause()
        calls = [asyncio.create_task(call("INCR", "count", seconds=0.3)) for _ in range(12_000)]
        outcomes = await call.all(*calls)
        valkey.resume()
        refused = [outcome for outcome in outcomes if isinstance(outcome, OverloadedError)]
        assert 500 < len(refused) <= 2_000
        await call("PING")


async def test_a_lost_connection_fails_what_was_in_flight_and_nothing_is_sent_again(
    valkey: ValkeyProcess,
) -> None:
    async with Proxy(valkey.port) as proxy, calling(proxy.redis_url) as call:
        proxy.trap = trap = ReplyTrap(b"INCR")
        outcomes = await call.all(*(call("INCR", "count") for _ in range(10)))
        assert trap.sprung.is_set()
        assert all(isinstance(outcome, RedisUnavailableError) for outcome in outcomes)
        assert await call("GET", "count") == b"10"


async def test_a_connection_that_was_ended_is_replaced(valkey: ValkeyProcess) -> None:
    async with calling(valkey.url) as call:
        for _ in range(5):
            with valkey.client() as redis:
                redis.client_kill_filter(_type="normal", skipme=True)

            async def answered() -> bool:
                try:
                    return bool(await call("PING"))
                except RedisUnavailableError:
                    return False  # it was in flight

            await eventually(answered, "a new connection answers")


async def test_nobody_there_is_an_error_long_before_the_deadline(valkey: ValkeyProcess) -> None:
    async with calling(valkey.url) as call:
        valkey.kill()
        for _ in range(3):
            begun = time.monotonic()
            with pytest.raises(RedisUnavailableError):
                await call("PING", seconds=20)
            assert time.monotonic() - begun < 10
        valkey.start()
        assert await call("PING") == b"PONG"


async def test_while_nobody_is_there_he_is_not_called_all_the_time(valkey: ValkeyProcess) -> None:
    async with Proxy(valkey.port) as proxy, calling(proxy.redis_url) as call:
        proxy.refuse(on=True)
        proxy.cut()
        begun, attempts = time.monotonic(), 0
        while time.monotonic() - begun < 1:
            with pytest.raises(RedisUnavailableError):
                await call("PING")
            attempts += 1
        # Each of these waited for an attempt, and between two of them are 25 ms at least.
        assert 1 < attempts <= (time.monotonic() - begun) / 0.025 + 1
        proxy.refuse(on=False)
        assert await call("PING") == b"PONG"


async def test_a_link_that_is_half_open_is_left_for_a_new_one(valkey: ValkeyProcess) -> None:
    async with Proxy(valkey.port) as proxy, calling(proxy.redis_url) as call:
        proxy.half_open()
        with pytest.raises(RedisUnavailableError):
            await call("INCR", "count", seconds=0.2)
        # This one may still go out on the old link; a next one does not.
        await eventually(lambda: call.pipeline._left, "the link is found silent", seconds=5)
        assert await call("INCR", "count") == 1


async def test_a_redis_that_is_only_slow_still_answers_what_was_sent(
    valkey: ValkeyProcess,
) -> None:
    async with calling(valkey.url) as call:
        valkey.pause()
        slow = asyncio.create_task(call("INCR", "count"))
        await eventually(lambda: call.pipeline._left, "the link is found silent", seconds=5)
        valkey.resume()
        assert await slow == 1
        assert await call("INCR", "count") == 2


async def test_a_caller_that_waits_no_more_takes_no_answer_of_another(
    valkey: ValkeyProcess,
) -> None:
    async with calling(valkey.url) as call:
        tasks = [asyncio.create_task(call("ECHO", number)) for number in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes[1::2] == [str(number).encode() for number in range(1, 100, 2)]
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])


async def test_nothing_is_left_when_it_ends(valkey: ValkeyProcess) -> None:
    with valkey.client() as redis:
        before = len(redis.client_list())
        async with calling(valkey.url) as call:
            valkey.pause()
            await eventually(lambda: call.pipeline._left, "the link is found silent", seconds=5)
            valkey.resume()
        await eventually(lambda: len(redis.client_list()) == before, "all are closed")
