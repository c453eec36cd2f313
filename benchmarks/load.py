"""Puts a case on a gateway: streams that count, senders that keep a rate."""

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any

import grpc
from grpc import aio

from benchmarks.cases import Case, Result
from benchmarks.system import System, cpu_seconds
from notecast.v1.chat_pb2 import RoomSubscription, SendNoteRequest, SubscribeRequest

_MARK = b"~T"
_STAMP_DIGITS = 20
_PADDING = "x" * 70
_MAX_IN_FLIGHT = 200
_SEND_SECONDS = 10.0
_SETTLE_SECONDS = 5.0
_SUBSCRIBE = "/notecast.v1.ChatService/Subscribe"
_SEND = "/notecast.v1.ChatService/SendNote"


class Load:
    """One case on one gateway.

    A response is not decoded: a note is counted by the mark in its text, and its delay
    read from the time behind that.

    Args:
        case: how much.
        system: where.
    """

    def __init__(self, case: Case, system: System) -> None:
        self._case = case
        self._system = system
        self._delivered = 0
        self._delays_ms: list[float] = []
        self._sent: Counter[int] = Counter()
        self._failed = 0
        self._arrived = asyncio.Event()
        # Each with its own socket: by default channels to one address share it.
        options = (("grpc.use_local_subchannel_pool", 1),)
        self._channels = [
            aio.insecure_channel(system.target, options=options) for _ in range(case.connections)
        ]

    async def run(self, seconds: float) -> Result:
        """Opens the streams, sends for a while, and waits for what is still on its way."""
        streams = await self._open_streams()
        gateway, own = cpu_seconds(self._system.gateway_pid), time.process_time()
        began = time.monotonic()
        await self._send_for(seconds)
        expected = sum(count * self._case.streams for count in self._sent.values())
        await self._settle(expected)
        result = Result(
            case=self._case,
            seconds=time.monotonic() - began,
            sent=self._sent.total(),
            failed=self._failed,
            delivered=self._delivered,
            missing=max(0, expected - self._delivered),
            gateway_cpu_seconds=cpu_seconds(self._system.gateway_pid) - gateway,
            load_cpu_seconds=time.process_time() - own,
            delay_ms=_percentiles(self._delays_ms),
        )
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in self._channels))
        return result

    def _room(self, number: int) -> str:
        return f"{self._case.name} {number}"

    def _channel(self, number: int) -> aio.Channel:
        return self._channels[number % len(self._channels)]

    async def _open_streams(self) -> list[asyncio.Task[None]]:
        calls: list[aio.UnaryStreamCall[bytes, bytes]] = []
        for number in range(self._case.rooms * self._case.streams):
            room = RoomSubscription(room=self._room(number % self._case.rooms))
            request = SubscribeRequest(subscriptions=[room]).SerializeToString()
            subscribe: Any = self._channel(number).unary_stream(_SUBSCRIBE)
            calls.append(subscribe(request))
        await asyncio.gather(*(call.initial_metadata() for call in calls))
        return [asyncio.create_task(self._count(call)) for call in calls]

    async def _count(self, call: aio.UnaryStreamCall[bytes, bytes]) -> None:
        async for body in call:
            self._arrived.set()
            now = time.time_ns()
            at = body.find(_MARK)
            while at >= 0:
                self._delivered += 1
                sent_at = int(body[at + 2 : at + 2 + _STAMP_DIGITS])
                self._delays_ms.append((now - sent_at) / 1e6)
                at = body.find(_MARK, at + 2)

    async def _send_for(self, seconds: float) -> None:
        gate = asyncio.Semaphore(_MAX_IN_FLIGHT)
        began = time.monotonic()
        async with asyncio.TaskGroup() as sending:
            for number in range(int(seconds * self._case.notes_per_second)):
                due = began + number / self._case.notes_per_second
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await gate.acquire()
                sending.create_task(self._send(number % self._case.rooms, gate))

    async def _send(self, number: int, gate: asyncio.Semaphore) -> None:
        text = f"{_MARK.decode()}{time.time_ns():0{_STAMP_DIGITS}d}{_PADDING}"
        note = SendNoteRequest(room=self._room(number), author="bench", text=text)
        send: Any = self._channel(number).unary_unary(_SEND)
        try:
            await send(note.SerializeToString(), timeout=_SEND_SECONDS)
        except grpc.RpcError:
            self._failed += 1
        else:
            self._sent[number] += 1
        finally:
            gate.release()

    async def _settle(self, expected: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_SECONDS):
                while self._delivered < expected:
                    self._arrived.clear()
                    await self._arrived.wait()


def _percentiles(delays_ms: list[float]) -> tuple[float, float, float]:
    if not delays_ms:
        return (0.0, 0.0, 0.0)
    ordered = sorted(delays_ms)
    return (
        ordered[len(ordered) // 2],
        ordered[int((len(ordered) - 1) * 0.99)],
        ordered[-1],
    )
