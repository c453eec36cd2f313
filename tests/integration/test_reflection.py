"""Every name that the contracts of a service define can be asked for, under both versions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import aio
from grpc_reflection.v1alpha.reflection_pb2 import (
    ExtensionRequest,
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from notecast.v1 import chat_pb2, history_pb2
from notecast_runtime.symbols import symbols_of
from tests.support.services import running_gateway, running_history
from tests.support.valkey import ValkeyProcess

VERSIONS = ("v1", "v1alpha")
CONTRACTS = {"gateway": chat_pb2.DESCRIPTOR, "history": history_pb2.DESCRIPTOR}


class Asking:
    """A reflection stream."""

    def __init__(self, channel: aio.Channel, version: str) -> None:
        method: Any = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=ServerReflectionRequest.SerializeToString,
            response_deserializer=ServerReflectionResponse.FromString,
        )
        self.call = method(timeout=30)

    async def ask(self, **request: Any) -> ServerReflectionResponse:  # noqa: ANN401 - any question
        await self.call.write(ServerReflectionRequest(**request))
        answer = await self.call.read()
        assert isinstance(answer, ServerReflectionResponse)
        assert answer.original_request == ServerReflectionRequest(**request)
        return answer

    async def file_names(self, **request: Any) -> list[str]:  # noqa: ANN401 - as above
        answer = await self.ask(**request)
        files = answer.file_descriptor_response.file_descriptor_proto
        return [FileDescriptorProto.FromString(each).name for each in files]


@asynccontextmanager
async def asking(which: str, valkey: ValkeyProcess, version: str) -> AsyncIterator[Asking]:
    if which == "gateway":
        async with running_gateway(valkey.url) as gateway:
            yield Asking(gateway.channel, version)
    else:
        async with (
            running_history(valkey.url) as target,
            aio.insecure_channel(target) as channel,
        ):
            yield Asking(channel, version)


def _services(file: FileDescriptor) -> list[str]:
    return [service.full_name for service in file.services_by_name.values()]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("which", CONTRACTS)
async def test_every_symbol_of_every_file_leads_to_it(
    which: str, version: str, valkey: ValkeyProcess
) -> None:
    async with asking(which, valkey, version) as reflection:
        listed = (await reflection.ask(list_services="")).list_services_response.service
        assert set(_services(CONTRACTS[which])) <= {s.name for s in listed}
        files: dict[str, FileDescriptorProto] = {}
        for service in listed:
            answer = await reflection.ask(file_containing_symbol=service.name)
            for each in answer.file_descriptor_response.file_descriptor_proto:
                file = FileDescriptorProto.FromString(each)
                files[file.name] = file
        assert CONTRACTS[which].name in files
        for file in files.values():
            assert (await reflection.file_names(file_by_filename=file.name))[0] == file.name
            for symbol in symbols_of(file):
                found = await reflection.file_names(file_containing_symbol=symbol)
                assert found[:1] == [file.name], symbol


SYMBOLS = {
    "a service": "notecast.v1.ChatService",
    "a method": "notecast.v1.ChatService.ListNotes",
    "a message": "notecast.v1.SendNoteRequest",
    "a nested message": "notecast.v1.Note.LabelsEntry",
    "a field": "notecast.v1.SendNoteRequest.room",
    "a oneof": "notecast.v1.Event.kind",
    "an enum": "notecast.v1.Discontinuity.Reason",
    "an enum's value": "notecast.v1.Discontinuity.REASON_EPOCH",
    "a method of the tutorial": "grpc.ChatServer.ChatStream",
    "a method of the health service": "grpc.health.v1.Health.Check",
    "a detail of errors": "google.rpc.ErrorInfo",
}


@pytest.mark.parametrize("kind", SYMBOLS)
async def test_a_symbol_of_each_kind_is_found(kind: str, valkey: ValkeyProcess) -> None:
    async with asking("gateway", valkey, "v1") as reflection:
        assert await reflection.file_names(file_containing_symbol=SYMBOLS[kind])


async def test_a_file_comes_with_its_imports_and_those_once_a_stream(valkey: ValkeyProcess) -> None:
    async with asking("gateway", valkey, "v1") as reflection:
        first = await reflection.file_names(file_containing_symbol="notecast.v1.ChatService")
        assert first[0] == "notecast/v1/chat.proto"
        assert {"notecast/v1/note.proto", "google/protobuf/timestamp.proto"} <= set(first)
        again = await reflection.file_names(
            file_containing_symbol="notecast.v1.ChatService.SendNote"
        )
        assert again == ["notecast/v1/chat.proto"]


async def test_what_is_not_there_is_not_found_and_the_stream_goes_on(
    valkey: ValkeyProcess,
) -> None:
    nowhere: list[dict[str, Any]] = [
        {"file_containing_symbol": "notecast.v1.ChatService.Nothing"},
        {"file_by_filename": "nothing.proto"},
        {"all_extension_numbers_of_type": "notecast.v1.Nothing"},
        {
            "file_containing_extension": ExtensionRequest(
                containing_type="notecast.v1.Note", extension_number=1
            )
        },
    ]
    async with asking("gateway", valkey, "v1") as reflection:
        for question in nowhere:
            answer = await reflection.ask(**question)
            assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
        answer = await reflection.ask(host="nothing was asked")
        assert answer.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        answer = await reflection.ask(all_extension_numbers_of_type="notecast.v1.Note")
        assert answer.all_extension_numbers_response.base_type_name == "notecast.v1.Note"
        await reflection.call.done_writing()
        assert await reflection.call.code() is grpc.StatusCode.OK
