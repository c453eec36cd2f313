"""Registers the services on a server."""

from typing import Any

import grpc
from grpc import aio

from chat_gateway.service import ChatService
from chat_gateway.tutorial_service import TutorialService
from notecast.v1 import chat_pb2
from tutorial import chat_pb2 as tutorial_pb2
from tutorial.chat_pb2_grpc import add_ChatServerServicer_to_server

CHAT_SERVICE = chat_pb2.DESCRIPTOR.services_by_name["ChatService"].full_name
TUTORIAL_SERVICE = tutorial_pb2.DESCRIPTOR.services_by_name["ChatServer"].full_name
SERVICES = (CHAT_SERVICE, TUTORIAL_SERVICE)
"""Full names, for health and reflection."""


def add_services(server: aio.Server, chat: ChatService, tutorial: TutorialService) -> None:
    """Registers both services.

    `Subscribe` writes bytes that are serialised already, once for all streams, so its
    handler is made here: the generated one would serialise each message again.
    """
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "SendNote": grpc.unary_unary_rpc_method_handler(
            chat.SendNote,
            request_deserializer=chat_pb2.SendNoteRequest.FromString,
            response_serializer=chat_pb2.SendNoteResponse.SerializeToString,
        ),
        "Subscribe": grpc.unary_stream_rpc_method_handler(
            chat.Subscribe,
            request_deserializer=chat_pb2.SubscribeRequest.FromString,
            response_serializer=bytes,
        ),
        "ListNotes": grpc.unary_unary_rpc_method_handler(
            chat.ListNotes,
            request_deserializer=chat_pb2.ListNotesRequest.FromString,
            response_serializer=chat_pb2.ListNotesResponse.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(CHAT_SERVICE, handlers),))
    add_ChatServerServicer_to_server(tutorial, server)
