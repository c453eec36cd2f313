import asyncio

import pytest

from tests.support.local_stack import LocalStack
from tests.support.reading_client import ReadingClient
from tests.support.sending import send_all

_IDLE_SECONDS = 6 * 60


@pytest.mark.slow
@pytest.mark.timeout(_IDLE_SECONDS + 120)
async def test_a_stream_that_is_silent_for_six_minutes_lives_through_envoy(
    stack: LocalStack,
) -> None:
    async with ReadingClient(stack.target, "silence") as reader:
        await asyncio.sleep(_IDLE_SECONDS)  # the time itself is what is tested
        await send_all([stack.target], "silence", ["anybody there?"])
        await reader.holds(1)
        assert reader.reconnects == 0
