"""Clients of many makes that do the same things to an interoperability service.

A case is one of CASES; what its client saw is an Outcome, whoever the client is.
"""

import asyncio
import base64
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, cast

import grpc
from grpc import aio

from tests.support.interop_service import PROTO, Message, Stub, messages

_PATIENCE_SECONDS = 20.0
_SHORTEST_SECONDS = 0.3
_INTERVAL_MICROSECONDS = 50_000
_BODY_BYTES = 40_000
_ENDLESS = 1000


class Case(NamedTuple):
    """What a client is to do: one unary call where there are no messages, else a stream."""

    messages: int = 0
    seconds: float = _PATIENCE_SECONDS
    leaves: bool = False
    """Whether it cancels the call on the first message."""


CASES: Mapping[str, Case] = MappingProxyType(
    {
        "unary": Case(),
        "stream": Case(messages=10),
        "cancel": Case(messages=_ENDLESS, leaves=True),
        "deadline": Case(messages=_ENDLESS, seconds=_SHORTEST_SECONDS),
    }
)


class Outcome(NamedTuple):
    """What a client saw: how many answers of how many bytes, and the name of the status."""

    answered: int
    size: int
    status: str


class Client(Protocol):
    """One client, connected to one address."""

    async def run(self, case: str) -> Outcome:
        """Does one of CASES."""


class AioClient:
    """grpc-python with asyncio."""

    def __init__(self, target: str, compression: grpc.Compression | None = None) -> None:
        self._target = target
        self._compression = compression

    async def run(self, case: str) -> Outcome:
        wanted = CASES[case]
        async with aio.insecure_channel(self._target, compression=self._compression) as channel:
            stub = Stub(channel)
            answers: list[Any] = []
            status = "OK"
            try:
                if wanted.messages:
                    call = stub.StreamingOutputCall(_stream(wanted), timeout=wanted.seconds)
                    async for answer in call:
                        answers.append(answer)
                        if wanted.leaves:
                            call.cancel()
                else:
                    answers.append(await stub.UnaryCall(_unary(), timeout=wanted.seconds))
            except aio.AioRpcError as error:
                status = error.code().name
            except asyncio.CancelledError:
                if not wanted.leaves:
                    raise
                status = "CANCELLED"
        return _outcome(answers, status)


class SyncClient:
    """grpc-python with threads."""

    def __init__(self, target: str, compression: grpc.Compression | None = None) -> None:
        self._target = target
        self._compression = compression

    async def run(self, case: str) -> Outcome:
        return await asyncio.to_thread(self._run, CASES[case])

    def _run(self, wanted: Case) -> Outcome:
        with grpc.insecure_channel(self._target, compression=self._compression) as channel:
            stub = Stub(channel)
            answers: list[Any] = []
            status = "OK"
            try:
                if wanted.messages:
                    call = stub.StreamingOutputCall(_stream(wanted), timeout=wanted.seconds)
                    for answer in call:
                        answers.append(answer)
                        if wanted.leaves:
                            call.cancel()
                else:
                    answers.append(stub.UnaryCall(_unary(), timeout=wanted.seconds))
            except grpc.RpcError as error:
                status = cast(grpc.Call, error).code().name
        return _outcome(answers, status)


class GoClient:
    """grpc-go, as tests/wire/conformance/go/client uses it; knows more cases than CASES."""

    def __init__(self, program: Path, target: str) -> None:
        self._program = program
        self._target = target

    async def run(self, case: str) -> Outcome:
        async with program(self._program, f"-servers={self._target}", f"-case={case}") as process:
            said, complaints = await process.communicate(b"")
        assert process.returncode == 0, complaints.decode()
        seen = json.loads(said)
        (status,) = seen["statuses"]
        names = {"Canceled": "CANCELLED", "DeadlineExceeded": "DEADLINE_EXCEEDED"}
        return Outcome(seen["answered"], seen["bytes"], names.get(status, status))


class Grpcurl:
    """grpcurl: one call, its answers as JSON."""

    def __init__(self, program: Path, target: str) -> None:
        self._program = program
        self._target = target

    async def run(self, case: str) -> Outcome:
        wanted = CASES[case]
        method = "StreamingOutputCall" if wanted.messages else "UnaryCall"
        request = _grpcurl_request(wanted)
        async with program(
            *(self._program, "-plaintext", "-proto", str(PROTO), "-d", "@"),
            *("-max-time", str(wanted.seconds)),
            *(self._target, f"grpc.testing.TestService/{method}"),
        ) as process:
            if wanted.leaves:
                return await _leave(process, request)
            said, complaints = await process.communicate(request)
        answers = list(_json_values(said.decode()))
        size = sum(len(base64.b64decode(answer["payload"]["body"])) for answer in answers)
        # It ends with 64 more than the status.
        code = (process.returncode or 64) - 64
        names = {status.value[0]: status.name for status in grpc.StatusCode}
        assert code in names, complaints.decode()
        return Outcome(len(answers), size, names[code])


async def _leave(process: asyncio.subprocess.Process, request: bytes) -> Outcome:
    """Ends a process as soon as it says something; a closed connection cancels its call."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request)
    process.stdin.close()
    assert await process.stdout.readline()
    process.terminate()
    await process.wait()
    return Outcome(1, 0, "CANCELLED")


@asynccontextmanager
async def program(*command: str | Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a program while the block lasts, which has a limit of time; ends it if it must."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(2 * _PATIENCE_SECONDS):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _unary() -> Message:
    payload = messages.Payload(body=bytes(_BODY_BYTES))
    return messages.SimpleRequest(response_size=_BODY_BYTES, payload=payload)


def _stream(wanted: Case) -> Message:
    one = messages.ResponseParameters(size=1000, interval_us=_INTERVAL_MICROSECONDS)
    return messages.StreamingOutputCallRequest(response_parameters=[one] * wanted.messages)


def _grpcurl_request(wanted: Case) -> bytes:
    if not wanted.messages:
        body = base64.b64encode(bytes(_BODY_BYTES)).decode()
        return json.dumps({"responseSize": _BODY_BYTES, "payload": {"body": body}}).encode()
    one = {"size": 1000, "intervalUs": _INTERVAL_MICROSECONDS}
    return json.dumps({"responseParameters": [one] * wanted.messages}).encode()


def _outcome(answers: list[Any], status: str) -> Outcome:
    return Outcome(len(answers), sum(len(answer.payload.body) for answer in answers), status)


def _json_values(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    text = text.lstrip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].lstrip()
