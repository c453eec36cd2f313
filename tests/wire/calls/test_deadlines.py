"""Deadlines, one by one and in crowds."""

import asyncio
import random
from typing import cast

from grpc import StatusCode

from notecast_wire.calls.deadlines import Deadlines
from tests.support.waiting import eventually
from tests.wire.calls.raw_client import connected, grpc_headers, message
from tests.wire.calls.serving import (
    Context,
    echo,
    first,
    serving,
    status_of,
    unary_stream,
    unary_unary,
)
from tests.wire.calls.still_loop import StillLoop


class Entry:
    """Notes when it expires."""

    due_tick = 0

    def __init__(self) -> None:
        self.at: float | None = None

    def expire(self) -> None:
        assert self.at is None
        self.at = asyncio.get_running_loop().time()


async def test_each_expires_after_its_time_and_soon() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    now = loop.time()
    chosen = random.Random(1)  # noqa: S311 - no secret
    wanted = {Entry(): now + chosen.uniform(-0.1, 0.3) for _ in range(200)}
    for entry, at in wanted.items():
        deadlines.add(entry, at)
    assert len(deadlines) == 200
    await eventually(lambda: len(deadlines) == 0, "all have expired")
    for entry, at in wanted.items():
        assert entry.at is not None
        assert entry.at >= at - 0.002


async def test_one_that_is_discarded_never_expires_and_one_that_replaces_does() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    gone, replaced, successor, last = (Entry() for _ in range(4))
    for entry in (gone, replaced):
        deadlines.add(entry, loop.time() + 0.02)
    deadlines.add(last, loop.time() + 0.05)
    deadlines.discard(gone)
    deadlines.discard(gone)
    deadlines.replace(replaced, successor)
    await eventually(lambda: last.at, "the last expires")
    assert (gone.at, replaced.at) == (None, None)
    assert successor.at is not None


async def test_one_that_is_discarded_when_another_expires_does_not() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    at = loop.time() + 0.02
    rivals: list[Entry] = []

    class Rival(Entry):
        def expire(self) -> None:
            super().expire()
            for rival in rivals:
                deadlines.discard(rival)

    rivals += [Rival(), Rival()]
    last = Entry()
    for entry in rivals:
        deadlines.add(entry, at)
    deadlines.add(last, at + 0.03)
    await eventually(lambda: last.at, "the last expires")
    assert sum(rival.at is not None for rival in rivals) == 1


class Mark:
    """Remembers whether it has expired."""

    due_tick = 0
    expired = False

    def expire(self) -> None:
        self.expired = True


def test_nobody_wakes_up_for_calls_that_have_ended() -> None:
    loop = StillLoop()
    deadlines = Deadlines(cast(asyncio.AbstractEventLoop, loop))
    for _ in range(500):
        ended = Mark()
        deadlines.add(ended, loop.now + 1)
        loop.move_on(0.01)
        deadlines.discard(ended)
    assert loop.wakes <= 5
    late = Mark()
    deadlines.add(late, loop.now + 1)
    loop.move_on(0.999)
    assert not late.expired
    loop.move_on(0.012)
    assert late.expired


async def test_short_calls_with_far_deadlines_leave_nothing() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    for number in range(20_000):
        entry = Entry()
        deadlines.add(entry, loop.time() + number * 1_000)
        deadlines.discard(entry)
    assert len(deadlines) == 0
    assert len(deadlines._due) == 0
    assert len(deadlines._ticks) < 2_000
    deadlines.stop()


async def test_a_deadline_cancels_the_handler_and_ends_the_call() -> None:
    cancelled = asyncio.Event()

    async def wait(_: bytes, context: Context) -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert context.time_remaining() == 0
            assert not context.cancelled()
            cancelled.set()
            raise
        return b""

    async with connected({"Wait": unary_unary(wait)}) as (served, client):
        stream = client.call("Wait", b"", ("grpc-timeout", "50m"))
        response = await client.ended(stream)
        assert response.status == "4"
        assert response.headers["grpc-message"] == "Deadline Exceeded"
        await first(cancelled)
        await eventually(lambda: served.calls == served.tasks == 0, "nothing is left")


async def test_a_deadline_ends_a_call_whose_request_never_comes() -> None:
    async with connected({"Echo": unary_unary(echo)}) as (served, client):
        headers = grpc_headers("Echo", ("grpc-timeout", "50m"))
        stream = client.begin(headers, message(b"abc")[:-1], end=False)
        assert (await client.ended(stream)).status == "4"
        assert served.calls == 0


async def test_a_deadline_ends_a_stream_whose_client_reads_nothing() -> None:
    async def pour(_: bytes, context: Context) -> None:
        while True:
            await context.write(b"x" * 100)

    async with connected({"Pour": unary_stream(pour)}, initial_window=50) as (served, client):
        stream = client.call("Pour", b"", ("grpc-timeout", "100m"))
        response = await client.ended(stream)
        assert len(response.data) == 50
        assert response.status == "4"
        await eventually(lambda: served.calls == served.tasks == 0, "nothing is left")


async def test_a_timeout_that_is_none_is_internal() -> None:
    async with connected({"Echo": unary_unary(echo)}) as (_, client):
        stream = client.call("Echo", b"", ("grpc-timeout", "soon"))
        assert (await client.ended(stream)).status == "13"


async def test_a_client_with_a_deadline_sees_it_kept() -> None:
    async def wait(_: bytes, __: Context) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with serving({"Wait": unary_unary(wait)}) as served:
        code, _ = await status_of(served.unary("Wait", seconds=0.05))
        assert code is StatusCode.DEADLINE_EXCEEDED
