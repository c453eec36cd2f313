"""Contracts that say more than what is served."""

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool


def with_method(service: ServiceDescriptor, name: str) -> ServiceDescriptor:
    """The service with one method more, which is like its first but for the name."""
    pool = DescriptorPool()
    for imported in service.file.dependencies:
        _add(pool, imported)
    file = _described(service.file)
    (extended,) = [each for each in file.service if each.name == service.name]
    added = extended.method.add()
    added.CopyFrom(extended.method[0])
    added.name = name
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(service.full_name)


def _add(pool: DescriptorPool, file: FileDescriptor) -> None:
    for imported in file.dependencies:
        _add(pool, imported)
    pool.AddSerializedFile(file.serialized_pb)


def _described(file: FileDescriptor) -> FileDescriptorProto:
    described = FileDescriptorProto()
    file.CopyToProto(described)
    return described
