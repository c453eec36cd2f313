"""Server reflection under both of its names.

grpcio-reflection serves `grpc.reflection.v1alpha` only, and newer tools ask for
`grpc.reflection.v1` first, some for nothing else. The two differ in the package alone
(grpc/grpc-proto, reflection/v1/reflection.proto), so the one is served as the other.
"""

from collections.abc import Iterable

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc import aio
from grpc_reflection.v1alpha import reflection, reflection_pb2

_METHOD = "ServerReflectionInfo"
_FILE = "grpc/reflection/v1/reflection.proto"
_PACKAGE = "grpc.reflection.v1"
_SERVICE = f"{_PACKAGE}.ServerReflection"


def add_reflection(server: aio.Server, services: Iterable[str]) -> None:
    """Registers both versions, which tell of the services and of themselves.

    Args:
        server: not started yet.
        services: full names; their descriptors are in the default pool.
    """
    names = (*services, _SERVICE, reflection.SERVICE_NAME)
    _describe_v1()
    reflection.enable_server_reflection(names, server)
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler}),)
    )


def _describe_v1() -> None:
    """Puts the descriptor of v1 into the default pool; the same one again changes nothing."""
    described = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(described)
    old, new = f".{described.package}.", f".{_PACKAGE}."
    described.name, described.package = _FILE, _PACKAGE
    for message in described.message_type:
        for field in message.field:
            if field.HasField("type_name"):
                field.type_name = field.type_name.replace(old, new)
    for method in described.service[0].method:
        method.input_type = method.input_type.replace(old, new)
        method.output_type = method.output_type.replace(old, new)
    descriptor_pool.Default().AddSerializedFile(described.SerializeToString())
