"""Many people at one address, as behind a mobile network's NAT, are served side by side."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

from tests.integration.test_floods_behind_envoy import CALLS, WATCH, envoy
from tests.support import raw_http2 as raw
from tests.support.raw_http2 import END_STREAM, HEADERS, RawConnection
from tests.support.shipped_envoy import ShippedEnvoy

_CONNECTIONS = 6


async def test_people_at_one_address_may_have_more_streams_than_a_connection_to_a_gateway_carries(
    tmp_path: Path,
) -> None:
    """Envoy opens another connection to a gateway when one is full, and not before.

    So none of them may be refused until then. Otherwise whoever comes later is refused as well.
    """
    async with envoy(tmp_path) as running:
        with ExitStack() as connections:
            refused = await asyncio.to_thread(_refused, running, connections)
    assert refused == 0


def _refused(running: ShippedEnvoy, connections: ExitStack) -> int:
    """Opens the streams, all at the address of this machine; gives how many end at once."""
    refused = 0
    for _ in range(_CONNECTIONS):
        connection = connections.enter_context(RawConnection(running.port))
        connection.open()
        block, nothing = raw.request(WATCH), raw.message(b"")
        for stream_id in range(1, 2 * CALLS, 2):
            connection.send(raw.headers(stream_id, block) + raw.data(stream_id, nothing, end=True))
        answered = 0
        until = time.monotonic() + 20
        while answered < CALLS:
            assert time.monotonic() < until, f"{answered} answers"
            heads = [frame for frame in connection.frames(1.0) if frame.kind == HEADERS]
            answered += len(heads)
            refused += sum(bool(head.flags & END_STREAM) for head in heads)
    return refused
