"""The outlet on grpc.aio: one message at a time, and what its client does not read."""

import asyncio

import grpc
import pytest

from chat_gateway.transport.outlet_grpcio import GrpcioAudience, GrpcioOutlet
from notecast_runtime.status import Ending

BYE = Ending(grpc.StatusCode.UNAVAILABLE, "bye")


class Client:
    """A stream: its outlet, the task that writes it, and a way that takes what it is let."""

    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.outlet = GrpcioOutlet("ipv4:127.0.0.1:1", lambda: self.seconds)
        self.taken: list[bytes] = []
        self.writable = 0
        self._may_take = asyncio.Semaphore(0)
        self.outlet.on_writable(self._count)
        self.task = asyncio.create_task(self.outlet.run(self._send))

    async def read(self, count: int = 1) -> None:
        for _ in range(count):
            self._may_take.release()
        for _ in range(5 * count):
            await asyncio.sleep(0)

    async def _send(self, message: bytes) -> None:
        await self._may_take.acquire()
        self.taken.append(message)

    def _count(self) -> None:
        self.writable += 1


async def ended(task: asyncio.Task[Ending]) -> Ending:
    async with asyncio.timeout(5):
        return await task


async def test_a_message_is_refused_while_the_last_is_not_out_and_room_is_told_of_after_it() -> (
    None
):
    client = Client()
    assert client.outlet.write(b"a")
    assert not client.outlet.write(b"b")
    await asyncio.sleep(0)
    assert not client.outlet.write(b"b")
    assert client.writable == 0
    await client.read()
    assert client.writable == 1
    assert client.outlet.write(b"b")
    await client.read()
    assert client.taken == [b"a", b"b"]
    assert client.writable == 1  # nothing was refused, so nobody waits
    client.task.cancel()


async def test_it_waits_from_the_moment_that_a_message_is_taken_until_it_is_out() -> None:
    client = Client()
    assert client.outlet.waiting_since is None
    client.outlet.write(b"a")
    client.seconds += 60
    assert client.outlet.waiting_since == 1_000
    await client.read()
    assert client.outlet.waiting_since is None
    client.task.cancel()


async def test_an_end_waits_for_what_was_taken_and_nothing_more_is() -> None:
    client = Client()
    client.outlet.write(b"a")
    client.outlet.end(*BYE)
    assert not client.outlet.write(b"b")
    await asyncio.sleep(0)
    assert not client.task.done()
    await client.read()
    assert await ended(client.task) == BYE
    assert client.taken == [b"a"]


async def test_an_idle_stream_ends_at_once_and_with_what_was_said_first() -> None:
    client = Client()
    client.outlet.end(*BYE)
    client.outlet.end(grpc.StatusCode.INTERNAL, "too late")
    assert await ended(client.task) == BYE


async def test_a_cancelled_call_is_cancelled_although_it_is_ended_at_the_same_time() -> None:
    client = Client()
    client.outlet.write(b"a")
    await asyncio.sleep(0)
    client.outlet.end(*BYE)
    client.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client.task


async def test_an_audience_names_those_who_could_not_take_a_message() -> None:
    first, second = GrpcioOutlet("unix:"), GrpcioOutlet("unix:")
    audience = GrpcioAudience()
    audience.add(first)
    audience.add(second)
    assert audience.send(b"a") == []
    assert audience.send(b"b") == [first, second]
    audience.discard(first)
    audience.discard(first)
    assert len(audience) == 1
    assert audience.send(b"b") == [second]
