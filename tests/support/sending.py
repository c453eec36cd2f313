"""Senders for tests that break things: they know which of their notes were acknowledged."""

import asyncio
from collections.abc import Sequence

import grpc
from grpc import aio

from notecast.v1.chat_pb2 import SendNoteRequest
from notecast.v1.chat_pb2_grpc import ChatServiceStub

_DEADLINE_SECONDS = 5.0
AT_ONCE = 16


async def send_all(targets: Sequence[str], room: str, texts: Sequence[str]) -> dict[str, int]:
    """Sends the texts, each once, from all targets alike and several at a time.

    Returns:
        The acknowledged texts with their sequences. One that failed with UNAVAILABLE may
        be in the log or not, and is not sent again; any other error is raised.
    """
    acknowledged: dict[str, int] = {}
    waiting = list(enumerate(texts))
    channels = [aio.insecure_channel(target) for target in targets]
    stubs = [ChatServiceStub(channel) for channel in channels]

    async def send() -> None:
        while waiting:
            number, text = waiting.pop(0)
            request = SendNoteRequest(room=room, author=f"author {number % 3}", text=text)
            try:
                answer = await stubs[number % len(stubs)].SendNote(
                    request, timeout=_DEADLINE_SECONDS
                )
            except aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
            else:
                acknowledged[text] = answer.cursor.sequence

    try:
        await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    finally:
        for channel in channels:
            await channel.close()
    return acknowledged
