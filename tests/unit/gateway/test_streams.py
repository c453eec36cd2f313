"""Which streams are refused and which are ended, with a clock that the test moves."""

import asyncio

import pytest

from chat_gateway.outlet_grpcio import GrpcioOutlet
from chat_gateway.streams import Streams
from notecast_runtime.errors import NotecastError, OverloadedError, TooManyStreamsError

LIMIT_SECONDS = 60.0


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Line:
    """A way to a client that takes nothing until it is let."""

    def __init__(self) -> None:
        self.taken: list[object] = []
        self.may_take = asyncio.Semaphore(0)

    async def send(self, message: object) -> None:
        await self.may_take.acquire()
        self.taken.append(message)


class Client:
    """A stream: an outlet, its line, and the task that writes it."""

    def __init__(self, clock: Clock) -> None:
        self.outlet = GrpcioOutlet(clock)
        self.line = Line()
        self.cuts: list[float] = []
        self.task = asyncio.create_task(
            self.outlet.run(self.line.send, lambda body: [bytes([each]) for each in body])
        )

    @property
    def waiting_since(self) -> float | None:
        return self.outlet.waiting_since

    def cut(self, waited_seconds: float, limit_seconds: float) -> None:
        assert limit_seconds == LIMIT_SECONDS
        self.cuts.append(waited_seconds)
        self.outlet.cut(OverloadedError("slow"))

    async def read(self, count: int) -> None:
        for _ in range(count):
            self.line.may_take.release()
        for _ in range(3 * count):
            await asyncio.sleep(0)


async def ended(task: asyncio.Task[NotecastError]) -> NotecastError:
    async with asyncio.timeout(5):
        return await task


async def test_a_stream_of_which_nothing_gets_out_is_ended_when_the_limit_is_over() -> None:
    clock = Clock()
    streams, client = Streams(10, LIMIT_SECONDS, clock), Client(clock)
    with streams.watched(client):
        assert client.outlet.write(b"a")
        await asyncio.sleep(0)
        clock.seconds += LIMIT_SECONDS
        streams.sweep()
        assert not client.cuts
        clock.seconds += 1
        streams.sweep()
        assert client.cuts == [LIMIT_SECONDS + 1]
    assert isinstance(await ended(client.task), OverloadedError)


async def test_an_idle_stream_is_never_slow() -> None:
    clock = Clock()
    streams, client = Streams(10, LIMIT_SECONDS, clock), Client(clock)
    with streams.watched(client):
        client.outlet.write(b"a")
        await client.read(1)
        clock.seconds += 100 * LIMIT_SECONDS
        streams.sweep()
        client.outlet.write(b"b")
        clock.seconds += LIMIT_SECONDS
        streams.sweep()
        await client.read(1)
    assert client.line.taken == [b"a", b"b"]
    assert not client.cuts
    client.task.cancel()


async def test_a_client_that_reads_little_but_ever_again_is_not_ended() -> None:
    clock = Clock()
    streams, client = Streams(10, LIMIT_SECONDS, clock), Client(clock)
    with streams.watched(client):
        client.outlet.write(b"abcde")
        for _ in range(4):
            clock.seconds += LIMIT_SECONDS
            streams.sweep()
            await client.read(1)
        assert client.line.taken == [b"a", b"b", b"c", b"d"]
        assert not client.cuts
        clock.seconds += LIMIT_SECONDS + 1
        streams.sweep()
        assert client.cuts
    client.task.cancel()


async def test_a_stream_that_is_no_longer_watched_is_left_alone() -> None:
    clock = Clock()
    streams, client = Streams(10, LIMIT_SECONDS, clock), Client(clock)
    with streams.watched(client):
        client.outlet.write(b"a")
    clock.seconds += 2 * LIMIT_SECONDS
    streams.sweep()
    assert not client.cuts
    client.task.cancel()


async def test_a_stream_that_is_cut_before_it_runs_ends_at_once() -> None:
    outlet = GrpcioOutlet()
    outlet.write(b"a")
    outlet.cut(OverloadedError("slow"))
    line = Line()
    assert isinstance(await outlet.run(line.send, lambda body: [body]), OverloadedError)
    assert not line.taken


async def test_a_cancelled_call_is_cancelled_although_it_is_cut_at_the_same_time() -> None:
    client = Client(Clock())
    client.outlet.write(b"a")
    await asyncio.sleep(0)
    client.outlet.cut(OverloadedError("slow"))
    client.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.task


async def test_an_ordinary_end_waits_for_what_was_taken() -> None:
    client = Client(Clock())
    client.outlet.write(b"a")
    client.outlet.end(OverloadedError("bye"))
    assert not client.outlet.write(b"b")
    await asyncio.sleep(0)
    assert not client.task.done()
    await client.read(1)
    assert isinstance(await ended(client.task), OverloadedError)
    assert client.line.taken == [b"a"]


def test_there_are_as_many_places_as_allowed_and_each_is_given_again() -> None:
    streams = Streams(2, LIMIT_SECONDS)
    with streams.place():
        with streams.place(), pytest.raises(TooManyStreamsError), streams.place():
            pass
        assert len(streams) == 1
        with streams.place():
            assert len(streams) == 2
    assert len(streams) == 0
