"""A gateway in a process of its own, for what can only be seen from outside: its memory."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from grpc import aio

from notecast_runtime.settings import variable_of
from tests.support.health import wait_until_serving
from tests.support.ports import free_port
from tests.support.services import Gateway

_END_SECONDS = 10


@asynccontextmanager
async def gateway_process(redis_url: str, **settings: object) -> AsyncIterator[tuple[int, Gateway]]:
    """A gateway, ready; gives its process id and a client's hands. Its history is down."""
    port = free_port()
    chosen = {
        "redis_url": redis_url,
        "listen_host": "127.0.0.1",
        "listen_port": port,
        "history_target": "127.0.0.1:9",
        "shutdown_grace_seconds": 1,
        "log_level": "warning",
    } | settings
    environment = {variable_of(name): str(value) for name, value in chosen.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chat_gateway", env=os.environ | environment
    )
    target = f"127.0.0.1:{port}"
    try:
        await wait_until_serving(target, seconds=20)
        async with aio.insecure_channel(target) as channel:
            yield process.pid, Gateway(target, channel)
    finally:
        process.terminate()
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
