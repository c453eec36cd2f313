import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import pytest

from notecast_runtime.transports import TransportName
from tests.support.local_stack import LocalStack
from tests.support.reading_client import ReadingClient
from tests.support.sending import send_all

_IDLE_SECONDS = 6 * 60


@pytest.mark.slow
@pytest.mark.timeout(_IDLE_SECONDS + 120)
async def test_a_stream_that_is_silent_for_six_minutes_lives_through_envoy(tmp_path: Path) -> None:
    """On each transport, at the same time."""
    with ExitStack() as stacks:
        running = [
            stacks.enter_context(LocalStack(tmp_path / name, NOTECAST_TRANSPORT=name))
            for name in get_args(TransportName)
        ]
        async with asyncio.TaskGroup() as streams:
            for stack in running:
                streams.create_task(_live_through_silence(stack.target))


async def _live_through_silence(target: str) -> None:
    async with ReadingClient(target, "silence") as reader:
        await asyncio.sleep(_IDLE_SECONDS)  # the time itself is what is tested
        await send_all([target], "silence", ["anybody there?"])
        await reader.holds(1)
        assert reader.reconnects == 0
