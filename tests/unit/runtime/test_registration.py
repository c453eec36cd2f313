from __future__ import annotations  # grpc's types take parameters only for checkers

from collections.abc import AsyncIterator, Collection
from typing import Any

import grpc
import pytest
from grpc import aio

from notecast.v1 import history_pb2, history_pb2_grpc
from notecast.v1.history_pb2 import (
    HistoryServiceListNotesRequest,
    HistoryServiceListNotesResponse,
    ReplayRequest,
    ReplayResponse,
)
from notecast_runtime.registration import UnservedMethodError, add_service
from tests.support.contracts import with_method

HISTORY = history_pb2.DESCRIPTOR.services_by_name["HistoryService"]
LIST = "/notecast.v1.HistoryService/ListNotes"
REPLAY = "/notecast.v1.HistoryService/Replay"


class Servicer:
    async def ListNotes(  # noqa: N802
        self, _request: HistoryServiceListNotesRequest, _context: object
    ) -> HistoryServiceListNotesResponse:
        return HistoryServiceListNotesResponse(has_older=True)

    async def Replay(  # noqa: N802
        self, _request: ReplayRequest, _context: object
    ) -> AsyncIterator[ReplayResponse]:
        yield ReplayResponse()


class Listed:
    """A server that takes registrations and does nothing else."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}
        self.generic: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None:
        self.generic.extend(handlers)

    def add_registered_method_handlers(
        self, service: str, handlers: dict[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        self.handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}


def added(servicer: object, name: str | None = None, writes_bytes: Collection[str] = ()) -> Listed:
    server: Any = Listed()
    add_service(server, HISTORY, servicer, name=name, writes_bytes=writes_bytes)
    assert isinstance(server, Listed)
    return server


def test_every_method_is_registered_as_its_contract_has_it() -> None:
    handlers = added(Servicer()).handlers
    assert set(handlers) == {LIST, REPLAY}
    assert not handlers[LIST].response_streaming
    assert handlers[REPLAY].response_streaming
    assert not handlers[REPLAY].request_streaming
    request = HistoryServiceListNotesRequest(room="lobby")
    assert handlers[LIST].request_deserializer(request.SerializeToString()) == request
    replay = ReplayRequest(room="lobby")
    assert handlers[REPLAY].request_deserializer(replay.SerializeToString()) == replay
    answer = HistoryServiceListNotesResponse(has_older=True)
    assert handlers[LIST].response_serializer(answer) == answer.SerializeToString()


def test_a_method_that_writes_bytes_has_no_serializer() -> None:
    handlers = added(Servicer(), writes_bytes=("Replay",)).handlers
    assert handlers[REPLAY].response_serializer is None
    assert handlers[LIST].response_serializer is not None


def test_a_service_is_served_under_another_name_where_one_is_given() -> None:
    server = added(Servicer(), name="other.History")
    assert set(server.handlers) == {"/other.History/ListNotes", "/other.History/Replay"}
    (generic,) = server.generic
    assert isinstance(generic, grpc.ServiceRpcHandler)
    assert generic.service_name() == "other.History"


def test_a_method_that_nobody_serves_is_named_with_its_service() -> None:
    server: Any = Listed()
    with pytest.raises(UnservedMethodError, match=r"notecast\.v1\.HistoryService/ListMembers: "):
        add_service(server, with_method(HISTORY, "ListMembers"), Servicer())
    assert not server.handlers
    assert not server.generic


def test_what_a_generated_servicer_has_serves_no_method() -> None:
    class HalfServed(history_pb2_grpc.HistoryServiceServicer):
        async def ListNotes(  # noqa: N802
            self, request: HistoryServiceListNotesRequest, context: object
        ) -> HistoryServiceListNotesResponse:
            return await Servicer().ListNotes(request, context)

    make: Any = HalfServed
    make.__abstractmethods__ = frozenset()
    with pytest.raises(UnservedMethodError, match=r"HistoryService/Replay: HalfServed has no"):
        added(make())


def test_a_method_with_one_answer_is_not_served_by_a_generator() -> None:
    class Yielding(Servicer):
        ListNotes: Any = Servicer.Replay

    with pytest.raises(UnservedMethodError, match="HistoryService/ListNotes"):
        added(Yielding())


def test_only_methods_of_the_contract_may_write_bytes() -> None:
    with pytest.raises(UnservedMethodError, match="HistoryService/Reply: the contract has no"):
        added(Servicer(), writes_bytes=("Reply",))


async def test_a_server_of_grpcio_calls_what_was_registered() -> None:
    server = aio.server()
    add_service(server, HISTORY, Servicer())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = history_pb2_grpc.HistoryServiceStub(channel)
            assert (await stub.ListNotes(HistoryServiceListNotesRequest(), timeout=10)).has_older
    finally:
        await server.stop(None)
