"""Registers the services on a server."""

from __future__ import annotations  # some types of grpc take parameters only for checkers

from typing import Any

import grpc
from grpc import aio

from chat_gateway.api.service import ChatService
from chat_gateway.api.tutorial_service import TutorialService
from notecast.v1 import chat_pb2
from tutorial import chat_pb2 as tutorial_pb2

CHAT_SERVICE = chat_pb2.DESCRIPTOR.services_by_name["ChatService"].full_name
TUTORIAL_SERVICE = tutorial_pb2.DESCRIPTOR.services_by_name["ChatServer"].full_name
SERVICES = (CHAT_SERVICE, TUTORIAL_SERVICE)
"""Full names, for health and reflection."""


def add_services(server: aio.Server, chat: ChatService, tutorial: TutorialService) -> None:
    """Registers both services.

    Streams are written as bytes that are serialised already, once for all of them, so their
    handlers are made here: the generated ones would serialise each message again.
    """
    _add(
        server,
        CHAT_SERVICE,
        SendNote=grpc.unary_unary_rpc_method_handler(
            chat.SendNote,
            request_deserializer=chat_pb2.SendNoteRequest.FromString,
            response_serializer=chat_pb2.SendNoteResponse.SerializeToString,
        ),
        Subscribe=grpc.unary_stream_rpc_method_handler(
            chat.Subscribe,
            request_deserializer=chat_pb2.SubscribeRequest.FromString,
        ),
        ListNotes=grpc.unary_unary_rpc_method_handler(
            chat.ListNotes,
            request_deserializer=chat_pb2.ListNotesRequest.FromString,
            response_serializer=chat_pb2.ListNotesResponse.SerializeToString,
        ),
    )
    _add(
        server,
        TUTORIAL_SERVICE,
        SendNote=grpc.unary_unary_rpc_method_handler(
            tutorial.SendNote,
            request_deserializer=tutorial_pb2.Note.FromString,
            response_serializer=tutorial_pb2.Empty.SerializeToString,
        ),
        ChatStream=grpc.unary_stream_rpc_method_handler(
            tutorial.ChatStream,
            request_deserializer=tutorial_pb2.Empty.FromString,
        ),
    )


def _add(server: aio.Server, service: str, **methods: grpc.RpcMethodHandler[Any, Any]) -> None:
    # As generated code does: grpc.aio knows the first way alone, and the second is the quick one.
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    server.add_registered_method_handlers(service, methods)
