"""A gateway dies behind Envoy."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from notecast_local.ports import choose_ports
from notecast_local.settings import LocalSettings
from tests.support.local_programs import LocalPrograms
from tests.support.ports import free_port
from tests.support.reading_client import ReadingClient
from tests.support.sending import AT_ONCE, send_all


async def test_a_killed_gateway_costs_its_clients_only_a_reconnect(tmp_path: Path) -> None:
    """A replay equals what was relayed live, wherever the gateway was killed."""
    settings = LocalSettings(port=free_port(), tutorial_port=free_port())
    ports = choose_ports(settings)
    target = f"127.0.0.1:{ports.clients}"
    readers = [ReadingClient(target, "room") for _ in range(12)]
    async with (
        LocalPrograms.running(tmp_path, ports) as programs,
        AsyncExitStack() as open_readers,
    ):
        for reader in readers:
            await open_readers.enter_async_context(reader)
        before = await send_all([target], "room", texts("before", 200))
        programs.children["chat-gateway-1"].kill()
        during = await send_all([target], "room", texts("during", 200))
        after = await send_all([target], "room", texts("after", 200))
        acknowledged = before | during | after
        newest = max(acknowledged.values())
        await asyncio.gather(*(reader.holds(newest) for reader in readers))
        late = await open_readers.enter_async_context(
            ReadingClient(target, "room", from_start=True)
        )
        await late.holds(newest)
    assert {reader.texts == late.texts for reader in readers} == {True}
    assert len(before) == 200
    # What was on its way when the gateway died may have failed, and nothing else.
    assert len(during) >= 200 - AT_ONCE
    assert len(after) == 200
    for reader in readers:
        assert reader.sequences == list(range(1, newest + 1))
        assert reader.discontinuities == []
        assert (
            acknowledged.items() <= dict(zip(reader.texts, reader.sequences, strict=True)).items()
        )
    # Streams were spread over both gateways, and those of one broke, once each.
    broken = [reader.reconnects for reader in readers if reader.reconnects]
    assert 0 < len(broken) < len(readers)


def texts(word: str, count: int) -> Sequence[str]:
    return [f"{word} {number}" for number in range(count)]
