"""Serves reflection under both of its names.

Newer tools ask for `grpc.reflection.v1` first, some only for that, and older ones for `v1alpha`.
The two only differ in the package (grpc/grpc-proto, reflection/v1/reflection.proto), so one
servicer serves both.
"""

from collections.abc import Iterable

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from grpc import aio
from grpc_reflection.v1alpha import reflection_pb2

from notecast_runtime.reflection_service import ReflectionServicer
from notecast_runtime.registration import add_service
from notecast_runtime.standard_streams import StandardStreams
from notecast_runtime.symbols import Symbols

_FILE = "grpc/reflection/v1/reflection.proto"
_PACKAGE = "grpc.reflection.v1"
_REFLECTION: ServiceDescriptor = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]  # type: ignore[assignment]  # the stubs name its C twin
SERVICES = (f"{_PACKAGE}.ServerReflection", _REFLECTION.full_name)


def add_reflection(server: aio.Server, services: Iterable[str], streams: StandardStreams) -> None:
    """Registers both versions; they describe the services and themselves.

    Args:
        server: not started yet.
        services: full names; their descriptors are in the default pool.
        streams: bounds its streams.
    """
    _describe_v1()
    symbols = Symbols((*services, *SERVICES), descriptor_pool.Default())
    servicer = ReflectionServicer(symbols, streams)
    for service in SERVICES:
        add_service(server, _REFLECTION, servicer, name=service)


def _describe_v1() -> None:
    """Adds the descriptor of v1 to the default pool; adding it again changes nothing."""
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
