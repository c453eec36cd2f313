import asyncio
from pathlib import Path

import pytest

from tests.support.local_stack import LocalStack
from tests.support.reading_client import ReadingClient
from tests.support.sending import send_all

_IDLE_SECONDS = 6 * 60


@pytest.mark.slow
@pytest.mark.timeout(_IDLE_SECONDS + 120)
async def test_a_stream_that_is_silent_for_six_minutes_lives_through_envoy(tmp_path: Path) -> None:
    with LocalStack(tmp_path) as stack:
        await _live_through_silence(stack.target)


async def _live_through_silence(target: str) -> None:
    async with ReadingClient(target, "silence") as reader:
        await asyncio.sleep(_IDLE_SECONDS)  # the time itself is what is tested
        await send_all([target], "silence", ["anybody there?"])
        await reader.holds(1)
        assert reader.reconnects == 0
