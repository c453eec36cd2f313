"""Bytes in, answers and push messages out: whatever the pieces in which they come."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hiredis import ReplyError
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from notecast_runtime.redis.connection import MAX_IN_FLIGHT, RedisConnection, pack


class Wire(asyncio.Transport):
    """What was written, and whether the connection was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


class Link:
    """A connection, its wire, and what it has brought."""

    def __init__(self, on_push: Callable[[list[Any]], None] | None = None) -> None:
        self.pushed: list[list[Any]] = []
        self.wire = Wire()
        self.progress = 0
        self.connection = RedisConnection(on_push or self.pushed.append, self._progressed)
        self.connection.connection_made(self.wire)

    def _progressed(self) -> None:
        self.progress += 1

    def send(self, count: int) -> list["asyncio.Future[Any]"]:
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[Any]] = [loop.create_future() for _ in range(count)]
        self.connection.send(b"".join(pack(("ECHO", n)) for n in range(count)), answers)
        return answers


def pushed(payload: bytes) -> bytes:
    return b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%s\r\n" % (len(payload), payload)


def answered(payload: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(payload), payload)


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=40)), max_size=12),
    st.lists(st.integers(min_value=0, max_value=600), max_size=6),
)
def test_answers_and_pushes_come_in_order_in_whatever_pieces_they_arrive(
    said: list[tuple[bool, bytes]], cuts: list[int]
) -> None:
    async def exchange() -> None:
        link = Link()
        payloads = [payload for is_push, payload in said if not is_push]
        answers = link.send(len(payloads))
        stream = b"".join(pushed(p) if is_push else answered(p) for is_push, p in said)
        edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
        for begin, end in pairwise(edges):
            link.connection.data_received(stream[begin:end])
        assert [answer.result() for answer in answers] == payloads
        assert [push[2] for push in link.pushed] == [p for is_push, p in said if is_push]

    asyncio.run(exchange())


async def test_what_is_sent_together_is_one_write() -> None:
    link = Link()
    link.send(5)
    assert link.wire.written == [b"".join(pack(("ECHO", n)) for n in range(5))]


async def test_a_refusal_is_an_answer_and_the_next_ones_keep_their_places() -> None:
    link = Link()
    first, second = link.send(2)
    link.connection.data_received(b"-OOM no memory\r\n+OK\r\n")
    assert isinstance(first.result(), ReplyError)
    assert second.result() == b"OK"


async def test_an_answer_that_nobody_waits_for_any_more_is_not_given_to_the_next() -> None:
    link = Link()
    first, second = link.send(2)
    first.cancel()
    link.connection.data_received(answered(b"one") + answered(b"two"))
    assert second.result() == b"two"


async def test_what_is_in_flight_gets_the_error_when_the_connection_is_lost() -> None:
    link = Link()
    first, second = link.send(2)
    link.connection.data_received(answered(b"one"))
    link.connection.connection_lost(ConnectionResetError("reset"))
    assert first.result() == b"one"
    assert isinstance(second.result(), RedisConnectionError)
    assert link.connection.lost
    with pytest.raises(RedisConnectionError):
        link.send(1)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"-NOPERM this user may not\r\n", ResponseError),
        (b"+OK\r\n", ResponseError),
        (b"?nonsense\r\n", RedisConnectionError),
    ],
    ids=["a refusal", "an answer", "no RESP"],
)
async def test_what_was_not_asked_for_ends_the_connection(
    said: bytes, error: type[Exception]
) -> None:
    link = Link()
    link.connection.data_received(said)
    assert link.wire.aborted
    with pytest.raises(error):
        await link.connection.tend()


async def test_a_refusal_that_nobody_waits_for_ends_the_connection() -> None:
    link = Link()
    link.connection.send(pack(("SUBSCRIBE", "c")) + pack(("PING",)), (None,))
    (answer,) = link.send(1)
    link.connection.data_received(b"-NOPERM this user may not\r\n+PONG\r\n" + answered(b"one"))
    assert link.wire.aborted
    assert isinstance(answer.result(), ResponseError)


async def test_a_fault_in_who_takes_a_push_ends_the_connection_and_is_told() -> None:
    def fail(_push: list[Any]) -> None:
        raise KeyError("a fault of ours")

    link = Link(fail)
    link.connection.data_received(pushed(b"x"))
    assert link.wire.aborted
    with pytest.raises(KeyError):
        await link.connection.tend()


async def test_so_many_may_be_in_flight_and_none_while_the_socket_is_full() -> None:
    link = Link()
    assert link.connection.free == MAX_IN_FLIGHT
    link.send(MAX_IN_FLIGHT - 1)
    assert link.connection.free == 1
    link.connection.pause_writing()
    assert link.connection.free == 0
    progress = link.progress
    link.connection.resume_writing()
    assert link.connection.free == 1
    assert link.progress == progress + 1
    link.connection.data_received(answered(b"one"))
    assert link.connection.free == 2
    assert link.progress == progress + 2


async def test_nothing_is_sent_on_a_transport_that_closes_and_has_not_said_so_yet() -> None:
    link = Link()
    link.wire.abort()
    assert link.connection.free == 0
    with pytest.raises(RedisConnectionError):
        link.send(1)
    assert link.wire.written == []


async def test_a_connection_that_answers_no_ping_is_silent_and_still_takes_answers() -> None:
    link = Link()
    (answer,) = link.send(1)
    with pytest.raises(RedisTimeoutError):
        await link.connection.tend()
    link.connection.data_received(answered(b"late"))
    assert answer.result() == b"late"


async def test_a_connection_that_only_brings_messages_is_not_silent() -> None:
    link = Link()
    loop = asyncio.get_running_loop()

    def speak() -> None:
        link.connection.data_received(pushed(b"x"))
        spoken.append(loop.call_later(0.1, speak))

    spoken = [loop.call_later(0.1, speak)]
    tending = asyncio.create_task(link.connection.tend())
    ended, _ = await asyncio.wait((tending,), timeout=1.5)
    assert not ended
    spoken[-1].cancel()
    tending.cancel()
