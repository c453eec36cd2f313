"""The service of gRPC's interoperability tests, for any server with the interface of `grpc.aio`."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

PROTO = Path("tests/wire/conformance/interop.proto")
"""From the project's root, which is where protoc finds it."""

# The stubs are made in memory, from that file, when this module is first imported.
messages, services = grpc.protos_and_services(str(PROTO))
Stub: Any = services.TestServiceStub

Message = Any
"""One of those messages; nobody knows their types before that."""
Context = aio.ServicerContext[Message, Message]

_ECHOED = "x-grpc-test-echo-initial"
_ECHOED_AT_THE_END = "x-grpc-test-echo-trailing-bin"


class InteropService:
    """Does what requests ask for.

    Attributes:
        ended: how many calls of each method ended in which way: `finished`, `cancelled`.
        begun: how many calls of each method began.
    """

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()

    @property
    def running(self) -> int:
        """Calls that began and did not end yet."""
        return self.begun.total() - self.ended.total()

    async def empty(self, request: Message, _: Context) -> Message:
        """Nothing for nothing."""
        with self._watched("EmptyCall"):
            return request

    async def unary(self, request: Message, context: Context) -> Message:
        """A response of the size that is wanted, or the status that is."""
        with self._watched("UnaryCall"):
            await _echo_metadata(context)
            await _end_as_asked(request, context)
            return messages.SimpleResponse(payload=_payload(request.response_size))

    async def output(self, request: Message, _: Context) -> AsyncIterator[Message]:
        """The responses that one request asks for."""
        with self._watched("StreamingOutputCall"):
            async for response in _responses(request):
                yield response

    async def input(self, requests: AsyncIterator[Message], _: Context) -> Message:
        """How many bytes came."""
        with self._watched("StreamingInputCall"):
            size = 0
            async for request in requests:
                size += len(request.payload.body)
            return messages.StreamingInputCallResponse(aggregated_payload_size=size)

    async def both(
        self, requests: AsyncIterator[Message], context: Context
    ) -> AsyncIterator[Message]:
        """To each request, the responses that it asks for."""
        with self._watched("FullDuplexCall"):
            await _echo_metadata(context)
            async for request in requests:
                await _end_as_asked(request, context)
                async for response in _responses(request):
                    yield response

    def _watched(self, method: str) -> "_Watched":
        return _Watched(self, method)

    def handler(self) -> grpc.GenericRpcHandler:
        """For `add_generic_rpc_handlers`; knows nothing of UnimplementedCall."""
        return grpc.method_handlers_generic_handler(
            "grpc.testing.TestService",
            {
                "EmptyCall": _unary_unary(self.empty, messages.Empty),
                "UnaryCall": _unary_unary(self.unary, messages.SimpleRequest),
                "StreamingOutputCall": grpc.unary_stream_rpc_method_handler(
                    self.output, messages.StreamingOutputCallRequest.FromString, _serialise
                ),
                "StreamingInputCall": grpc.stream_unary_rpc_method_handler(
                    self.input, messages.StreamingInputCallRequest.FromString, _serialise
                ),
                "FullDuplexCall": grpc.stream_stream_rpc_method_handler(
                    self.both, messages.StreamingOutputCallRequest.FromString, _serialise
                ),
            },
        )


class _Watched:
    """Writes down that a call begins, and how it ends."""

    def __init__(self, service: InteropService, method: str) -> None:
        self._service = service
        self._method = method

    def __enter__(self) -> None:
        self._service.begun[self._method] += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        left = kind is not None and issubclass(kind, (asyncio.CancelledError, GeneratorExit))
        self._service.ended[self._method, "cancelled" if left else "finished"] += 1


def _unary_unary(
    behaviour: Callable[[Message, Context], Awaitable[Message]], request: Message
) -> "grpc.RpcMethodHandler[Message, Message]":
    return grpc.unary_unary_rpc_method_handler(behaviour, request.FromString, _serialise)


def _serialise(message: Message) -> bytes:
    serialised: bytes = message.SerializeToString()
    return serialised


def _payload(size: int) -> Message:
    return messages.Payload(body=bytes(size))


async def _responses(request: Message) -> AsyncIterator[Message]:
    for wanted in request.response_parameters:
        await asyncio.sleep(wanted.interval_us / 1e6)
        yield messages.StreamingOutputCallResponse(payload=_payload(wanted.size))


async def _echo_metadata(context: Context) -> None:
    """Gives back what the client wants to see again; no other metadata."""
    sent = dict(context.invocation_metadata() or ())
    if _ECHOED in sent:
        await context.send_initial_metadata(((_ECHOED, sent[_ECHOED]),))
    if _ECHOED_AT_THE_END in sent:
        context.set_trailing_metadata(((_ECHOED_AT_THE_END, sent[_ECHOED_AT_THE_END]),))


async def _end_as_asked(request: Message, context: Context) -> None:
    status = request.response_status
    if status.code:
        codes = {code.value[0]: code for code in grpc.StatusCode}
        await context.abort(codes[status.code], status.message)
