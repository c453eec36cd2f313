"""Registers a servicer's methods on a server, as the service's descriptor lists them."""

from __future__ import annotations  # some types of grpc take parameters only for checkers

import inspect
from collections.abc import Callable, Collection
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

_MAKE_HANDLER: dict[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler[Any, Any]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""By whether the request is a stream, and whether the response is one."""


class UnservedMethodError(Exception):
    """A service's contract and its servicer differ; the process must not start.

    Args:
        service: the service's full name.
        method: the method's name.
        fault: what is wrong with it.
    """

    def __init__(self, service: str, method: str, fault: str) -> None:
        super().__init__(f"{service}/{method}: {fault}")
        self.service = service
        self.method = method


def add_service(
    server: aio.Server,
    descriptor: ServiceDescriptor,
    servicer: object,
    *,
    name: str | None = None,
    writes_bytes: Collection[str] = (),
) -> None:
    """Registers every method that the service's contract has.

    Args:
        server: not started yet.
        descriptor: the service's.
        servicer: has an `async def` function for each method, under the method's name.
        name: the full name to serve it under; None: the descriptor's own.
        writes_bytes: the methods that write serialised responses. They are not serialised again.

    Raises:
        UnservedMethodError: a method has no such function (those that generated servicers inherit
            are none), or `writes_bytes` names a method that the contract has not.
    """
    service = name or descriptor.full_name
    for unknown in sorted(set(writes_bytes) - {method.name for method in descriptor.methods}):
        raise UnservedMethodError(service, unknown, "the contract has no such method")
    handlers = {
        method.name: _handler(service, method, servicer, writes_bytes=method.name in writes_bytes)
        for method in descriptor.methods
    }
    # As generated code does: grpc.aio knows the first way alone, and the second is the quick one.
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_registered_method_handlers(service, handlers)


def _handler(
    service: str, method: MethodDescriptor, servicer: object, *, writes_bytes: bool
) -> grpc.RpcMethodHandler[Any, Any]:
    behaviour = getattr(servicer, method.name, None)
    if not _serves(behaviour, writes_many=method.server_streaming):
        fault = f"{type(servicer).__name__} has no `async def {method.name}` that serves it"
        raise UnservedMethodError(service, method.name, fault)
    make = _MAKE_HANDLER[method.client_streaming, method.server_streaming]
    return make(
        behaviour,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=None
        if writes_bytes
        else GetMessageClass(method.output_type).SerializeToString,
    )


def _serves(behaviour: object, *, writes_many: bool) -> bool:
    return inspect.iscoroutinefunction(behaviour) or (
        writes_many and inspect.isasyncgenfunction(behaviour)
    )
