"""Forty clients that read and send, and write down what goes wrong and how long all takes."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from statistics import quantiles
from typing import Final, NamedTuple

from grpc import aio

from notecast.v1.chat_pb2 import (
    RoomSubscription,
    SendNoteRequest,
    SubscribeRequest,
    SubscribeResponse,
)
from notecast.v1.chat_pb2_grpc import ChatServiceStub
from tests.support.waiting import eventually

NEIGHBOURS: Final = 40
ROOMS: Final = 4
PAUSE_SECONDS: Final = 1.0
"""Between the sends of one of them."""

_DEADLINE_SECONDS = 10.0
_DELIVERY_SECONDS = 10.0
# Else all channels of a process to one address share a connection; and what is tried again unseen
# would not be a call that fails.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0))


class Delays(NamedTuple):
    """How long things took, in seconds."""

    sends: list[float]
    deliveries: list[float]

    @property
    def p99(self) -> tuple[float, float]:
        """Of the sends, and of the deliveries."""
        return _p99(self.sends), _p99(self.deliveries)


class Neighbours:
    """All of them, connected. `Neighbours.gathered` makes them.

    Attributes:
        faults: streams that ended and calls that failed, in words.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._delays = Delays([], [])
        self._reading = 0
        self._missing: set[tuple[int, str]] = set()
        self._heard: list[set[str]] = [set() for _ in range(NEIGHBOURS)]
        self._count = 0
        self._sending = True

    @classmethod
    @asynccontextmanager
    async def gathered(cls, target: str) -> AsyncIterator["Neighbours"]:
        """They read, each on a connection of its own, and go on sending until the block ends."""
        all_of_them = cls()
        async with AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(aio.insecure_channel(target, options=_OPTIONS))
                for _ in range(NEIGHBOURS)
            ]
            tasks = [
                asyncio.create_task(all_of_them._read(number, channel))
                for number, channel in enumerate(channels)
            ]
            try:
                await eventually(
                    lambda: all_of_them._reading == NEIGHBOURS or all_of_them.faults,
                    "all neighbours read",
                    30,
                )
                assert not all_of_them.faults
                tasks += [
                    asyncio.create_task(all_of_them._send(number, channel))
                    for number, channel in enumerate(channels)
                ]
                yield all_of_them
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def delays_for(self, seconds: float) -> Delays:
        """What they measure in the next seconds."""
        await asyncio.sleep(seconds)
        return self.take_delays()

    def take_delays(self) -> Delays:
        """What they have measured since this was last asked."""
        taken, self._delays = self._delays, Delays([], [])
        return taken

    async def all_delivered(self) -> None:
        """Waits until each has got all notes of its room that were acknowledged by now.

        Raises:
            AssertionError: a note does not come.
        """
        wanted = set(self._missing)
        await eventually(
            lambda: not (wanted & self._missing),
            "every note that was acknowledged has been delivered",
            _DELIVERY_SECONDS,
        )

    async def _read(self, number: int, channel: aio.Channel) -> None:
        stub = ChatServiceStub(channel)
        wanted = RoomSubscription(room=_room(number))
        call = stub.Subscribe(SubscribeRequest(subscriptions=[wanted]))
        try:
            while isinstance(response := await call.read(), SubscribeResponse):
                now = time.monotonic()
                for event in response.events:
                    if event.HasField("caught_up"):
                        self._reading += 1
                    elif event.HasField("note"):
                        self._hear(number, event.note.text, now)
                    else:
                        self.faults.append(f"stream {number} was told {event.WhichOneof('kind')}")
            self.faults.append(f"stream {number} ended with {await call.code()}")
        except aio.AioRpcError as error:
            self.faults.append(f"stream {number}: {error.code().name} {error.details()}")

    def _hear(self, number: int, text: str, now: float) -> None:
        self._delays.deliveries.append(now - float(text.partition(" ")[0]))
        if (number, text) in self._missing:
            self._missing.discard((number, text))
        else:
            self._heard[number].add(text)

    async def _send(self, number: int, channel: aio.Channel) -> None:
        stub = ChatServiceStub(channel)
        await asyncio.sleep(number / NEIGHBOURS * PAUSE_SECONDS)
        while True:
            began = time.monotonic()
            self._count += 1
            text = f"{began!r} {self._count}"
            request = SendNoteRequest(room=_room(number), author=f"n{number}", text=text)
            try:
                await stub.SendNote(request, timeout=_DEADLINE_SECONDS)
            except aio.AioRpcError as error:
                self.faults.append(f"send {number}: {error.code().name} {error.details()}")
            else:
                self._delays.sends.append(time.monotonic() - began)
                self._expect(number, text)
            await asyncio.sleep(PAUSE_SECONDS)

    def _expect(self, sender: int, text: str) -> None:
        for number in range(sender % ROOMS, NEIGHBOURS, ROOMS):
            if text in self._heard[number]:
                self._heard[number].discard(text)
            else:
                self._missing.add((number, text))


def _room(number: int) -> str:
    return f"neighbours {number % ROOMS}"


def _p99(delays: Sequence[float]) -> float:
    return quantiles(delays, n=100, method="inclusive")[98]
