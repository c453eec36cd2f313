"""Connections of redis-py, as the services use them: what is lost is told in one way."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from notecast_runtime.redis.client import REDIS_AWAY, connect
from notecast_runtime.redis.epoch_guard import EpochGuard
from tests.chaos.proxy import Proxy
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually

Run = Callable[[Coroutine[Any, Any, None]], None]


async def ask(connection: Any) -> None:  # noqa: ANN401 - redis-py's, untyped
    await connection.send_command("PING")
    await connection.read_response()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
async def test_a_connection_that_was_reset_in_hand_is_an_error_of_the_connection(
    valkey: ValkeyProcess, run: Run
) -> None:
    here = asyncio.get_running_loop()

    async def use_what_was_reset() -> None:
        redis = connect(proxy.redis_url, EpochGuard(), 5)
        pool: Any = redis.connection_pool
        connection = await pool.get_connection()
        await ask(connection)
        here.call_soon_threadsafe(proxy.cut)
        await eventually(connection._writer.transport.is_closing, "the reset is known")
        await asyncio.sleep(0)  # and has been told
        with pytest.raises(REDIS_AWAY):
            await ask(connection)
        await pool.release(connection)
        assert await redis.ping()
        await redis.aclose()

    async with Proxy(valkey.port) as proxy:
        await asyncio.to_thread(run, use_what_was_reset())
