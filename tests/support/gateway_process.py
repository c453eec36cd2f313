"""A gateway in a process of its own, for what is seen from outside: its memory, and its end."""

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from grpc import aio

from notecast_runtime.settings import variable_of
from tests.support.health import wait_until_serving
from tests.support.ports import free_port
from tests.support.services import Gateway

_END_SECONDS = 10


@asynccontextmanager
async def started_gateway(
    redis_url: str,
    history_target: str = "127.0.0.1:9",
    *,
    port: int | None = None,
    open_files: int | None = None,
    **settings: object,
) -> AsyncIterator[tuple[Process, Gateway]]:
    """A gateway, ready, for the test to end: it is killed on leaving if it still lives.

    Gives its process, and a client's hands. Without a target, its history is down; without a
    port, it has any that is free. It may have so many files open, or as many as this process.
    """
    port = port or free_port()
    chosen = {
        "redis_url": redis_url,
        "listen_host": "127.0.0.1",
        "listen_port": port,
        "history_target": history_target,
        "log_level": "warning",
    } | settings
    environment = {variable_of(name): str(value) for name, value in chosen.items()}
    command = [sys.executable, "-m", "chat_gateway"]
    if open_files is not None:
        command = ["sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh", *command]
    process = await asyncio.create_subprocess_exec(*command, env=os.environ | environment)
    target = f"127.0.0.1:{port}"
    try:
        await wait_until_serving(target, seconds=20)
        async with aio.insecure_channel(target) as channel:
            yield process, Gateway(target, channel)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def gateway_process(redis_url: str, **settings: object) -> AsyncIterator[tuple[int, Gateway]]:
    """A gateway, ready; gives its process id and a client's hands. Its history is down."""
    soon: dict[str, Any] = {
        "shutdown_grace_seconds": 1,
        "drain_notice_seconds": 0,
        "drain_spread_seconds": 0,
    }
    async with started_gateway(redis_url, **soon | settings) as (process, gateway):
        try:
            yield process.pid, gateway
        finally:
            process.terminate()
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
