"""Many streams on few connections, of which nothing is decoded: a load that costs little itself."""

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from notecast.v1.chat_pb2 import RoomSubscription, SubscribeRequest
from tests.support import raw_http2
from tests.support.waiting import eventually

_PATH = "/notecast.v1.ChatService/Subscribe"
_STREAMS_AT_ONCE = 250
_JOIN_SECONDS = 60.0


class Crowd:
    """Reads rooms from entering to leaving, each stream one room, from now on.

    What is delivered is counted by marks in the bytes that come. A room's name comes with each of
    its notes, and once more when the stream has caught up.

    Args:
        target: the gateway.
        rooms: of each stream; every name has the first mark in it, once.
        connections: how many share the streams.
        marks: what to count.
    """

    def __init__(
        self, target: str, rooms: Sequence[str], connections: int, marks: Sequence[bytes]
    ) -> None:
        self._target = target
        self._rooms = rooms
        self._marks = marks
        self._members = [_Member(marks) for _ in range(connections)]

    def count(self, mark: bytes) -> int:
        """How often the mark has come by now, on all streams together."""
        return sum(member.counts[mark] for member in self._members)

    async def __aenter__(self) -> Self:
        host, _, port = self._target.rpartition(":")
        loop = asyncio.get_running_loop()
        for member in self._members:
            await loop.create_connection(lambda member=member: member, host, int(port))  # type: ignore[misc]
        for begin in range(0, len(self._rooms), _STREAMS_AT_ONCE):
            end = min(begin + _STREAMS_AT_ONCE, len(self._rooms))
            for place in range(begin, end):
                self._members[place % len(self._members)].subscribe(self._rooms[place])
            await eventually(
                lambda end=end: self.count(self._marks[0]) >= end,  # type: ignore[misc]
                "the streams have caught up",
                seconds=_JOIN_SECONDS,
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for member in self._members:
            member.transport.close()


class _Member(asyncio.Protocol):
    """One connection. Its windows are so large that they need never be opened further."""

    transport: asyncio.Transport

    def __init__(self, marks: Iterable[bytes]) -> None:
        self.counts = dict.fromkeys(marks, 0)
        self._overlap = max(map(len, self.counts)) - 1
        self._last = b""
        self._next_stream = 1
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        window = raw_http2.LARGEST_WINDOW
        transport.write(
            raw_http2.PREFACE
            + raw_http2.settings((raw_http2.INITIAL_WINDOW_SIZE, window))
            + raw_http2.window_update(0, window - 65_535)
        )

    def data_received(self, data: bytes) -> None:
        if not self._greeted:
            self._greeted = True
            self.transport.write(raw_http2.frame(raw_http2.SETTINGS, raw_http2.ACK, 0))
        # A mark may be cut by the end of what was read: the end is looked at again.
        known, seen = self._last, self._last + data
        for mark in self.counts:
            self.counts[mark] += seen.count(mark) - known.count(mark)
        self._last = seen[-self._overlap :]

    def subscribe(self, room: str) -> None:
        wanted = SubscribeRequest(subscriptions=[RoomSubscription(room=room)])
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        body = raw_http2.message(wanted.SerializeToString())
        self.transport.write(
            raw_http2.headers(stream, raw_http2.request(_PATH))
            + raw_http2.data(stream, body, end=True)
        )
