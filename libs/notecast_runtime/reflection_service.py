"""Serves `grpc.reflection.v1alpha.ServerReflection` and v1 (grpc/grpc-proto, reflection)."""

from __future__ import annotations  # some types of grpc take parameters only for checkers

import asyncio
from typing import Any, Final

from google.protobuf.descriptor import FileDescriptor
from grpc import StatusCode, aio
from grpc_reflection.v1alpha.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)

from notecast_runtime.errors import StreamExpiredError
from notecast_runtime.standard_streams import StandardStreams
from notecast_runtime.symbols import Symbols, with_imports

Context = aio.ServicerContext[Any, Any]

IDLE_SECONDS: Final = 60.0
"""How long a client may ask nothing, or read nothing of an answer."""


class ReflectionServicer:
    """Answers tools that don't know the contracts.

    Args:
        symbols: the names and files to describe.
        streams: bounds its streams.
        idle_seconds: how long a stream may be idle.
    """

    def __init__(
        self, symbols: Symbols, streams: StandardStreams, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._symbols = symbols
        self._streams = streams
        self._idle_seconds = idle_seconds

    async def ServerReflectionInfo(self, _requests: Any, context: Context) -> None:  # noqa: ANN401
        """Answers the requests in turn. Sends a file only once in a stream.

        Raises:
            NotecastError: see `StandardStreams.place`.
            StreamExpiredError: the stream was idle for too long.
        """
        async with self._streams.place(context):
            sent: set[str] = set()
            try:
                while True:
                    async with asyncio.timeout(self._idle_seconds):
                        request: Any = await context.read()
                        if request is aio.EOF:
                            return
                        await context.write(self._answer(request, sent))
            except TimeoutError:
                raise StreamExpiredError(self._idle_seconds) from None

    def _answer(self, request: ServerReflectionRequest, sent: set[str]) -> ServerReflectionResponse:
        response = ServerReflectionResponse(valid_host=request.host, original_request=request)
        try:
            self._fill(response, request, sent)
        except KeyError:
            response.error_response.CopyFrom(_error(StatusCode.NOT_FOUND))
        return response

    def _fill(
        self, response: ServerReflectionResponse, request: ServerReflectionRequest, sent: set[str]
    ) -> None:
        symbols = self._symbols
        match request.WhichOneof("message_request"):
            case "file_by_filename":
                self._fill_files(response, symbols.file(request.file_by_filename), sent)
            case "file_containing_symbol":
                self._fill_files(response, symbols.file_of(request.file_containing_symbol), sent)
            case "file_containing_extension":
                wanted = request.file_containing_extension
                file = symbols.file_of_extension(wanted.containing_type, wanted.extension_number)
                self._fill_files(response, file, sent)
            case "all_extension_numbers_of_type":
                name = request.all_extension_numbers_of_type
                response.all_extension_numbers_response.CopyFrom(
                    ExtensionNumberResponse(
                        base_type_name=name, extension_number=symbols.extension_numbers(name)
                    )
                )
            case "list_services":
                response.list_services_response.CopyFrom(
                    ListServiceResponse(
                        service=[ServiceResponse(name=name) for name in symbols.services]
                    )
                )
            case _:
                response.error_response.CopyFrom(_error(StatusCode.INVALID_ARGUMENT))

    def _fill_files(
        self, response: ServerReflectionResponse, file: FileDescriptor, sent: set[str]
    ) -> None:
        """Adds the file, and those of its imports that were not sent yet."""
        files = [each for each in with_imports(file) if each is file or each.name not in sent]
        sent.update(each.name for each in files)
        response.file_descriptor_response.CopyFrom(
            FileDescriptorResponse(
                file_descriptor_proto=[self._symbols.serialized(each) for each in files]
            )
        )


def _error(code: StatusCode) -> ErrorResponse:
    number, text = code.value
    return ErrorResponse(error_code=number, error_message=text)
