"""Maps every name that a server's contracts define to its file.

protobuf's pool finds the file of a message, but not of a method, which tools like ghz ask for.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool


class Symbols:
    """Finds files by the names that they define.

    Args:
        services: full names; their files and all imports are included.
        pool: the pool with the files. Its other files are found as far as the pool finds them.

    Attributes:
        services: as given, in order.

    Raises:
        KeyError: a service is not in the pool.
    """

    def __init__(self, services: Iterable[str], pool: DescriptorPool) -> None:
        self.services: Sequence[str] = sorted(services)
        self._pool = pool
        self._files: dict[str, str] = {}
        self._serialized: dict[str, bytes] = {}
        for service in self.services:
            for file in with_imports(pool.FindFileContainingSymbol(service)):
                described = FileDescriptorProto.FromString(self.serialized(file))
                self._files.update(dict.fromkeys(symbols_of(described), file.name))

    def file(self, name: str) -> FileDescriptor:
        """Finds a file by its name; KeyError if there is none."""
        return self._pool.FindFileByName(name)

    def file_of(self, symbol: str) -> FileDescriptor:
        """Finds the file that defines a name; KeyError if none does."""
        name = self._files.get(symbol)
        if name is not None:
            return self._pool.FindFileByName(name)
        return self._pool.FindFileContainingSymbol(symbol)

    def file_of_extension(self, extended: str, number: int) -> FileDescriptor:
        """Finds the file that defines a message's extension; KeyError if none does."""
        message = self._pool.FindMessageTypeByName(extended)
        extension: Any = self._pool.FindExtensionByNumber(message, number)
        file: FileDescriptor = extension.file  # the stubs don't know it
        return file

    def extension_numbers(self, extended: str) -> list[int]:
        """The numbers of a message's extensions; KeyError if there is no such message."""
        message = self._pool.FindMessageTypeByName(extended)
        return sorted(extension.number for extension in self._pool.FindAllExtensions(message))

    def serialized(self, file: FileDescriptor) -> bytes:
        """Serialises a file's FileDescriptorProto, once."""
        found = self._serialized.get(file.name)
        if found is None:
            described = FileDescriptorProto()
            file.CopyToProto(described)
            found = self._serialized[file.name] = described.SerializeToString()
        return found


def with_imports(file: FileDescriptor) -> list[FileDescriptor]:
    """The file, and then all its imports, each once."""
    found = {file.name: file}
    waiting = [file]
    while waiting:
        for imported in waiting.pop().dependencies:
            if imported.name not in found:
                found[imported.name] = imported
                waiting.append(imported)
    return list(found.values())


def symbols_of(file: FileDescriptorProto) -> Iterator[str]:
    """Yields the full names of all kinds that a file defines."""
    scope = f"{file.package}." if file.package else ""
    for message in file.message_type:
        yield from _of_message(message, scope)
    for enum in file.enum_type:
        yield from _of_enum(enum, scope)
    for extension in file.extension:
        yield scope + extension.name
    for service in file.service:
        yield scope + service.name
        for method in service.method:
            yield f"{scope}{service.name}.{method.name}"


def _of_message(message: DescriptorProto, scope: str) -> Iterator[str]:
    yield scope + message.name
    inside = f"{scope}{message.name}."
    names = [field.name for field in (*message.field, *message.extension)]
    for name in (*names, *(oneof.name for oneof in message.oneof_decl)):
        yield inside + name
    for nested in message.nested_type:
        yield from _of_message(nested, inside)
    for enum in message.enum_type:
        yield from _of_enum(enum, inside)


def _of_enum(enum: EnumDescriptorProto, scope: str) -> Iterator[str]:
    """Yields an enum's names; its values are siblings of it (descriptor.proto, EnumValue)."""
    yield scope + enum.name
    for value in enum.value:
        yield scope + value.name
