"""Registers the services on a server."""

from grpc import aio

from chat_gateway.api.service import ChatService
from chat_gateway.api.tutorial_service import TutorialService
from notecast.v1 import chat_pb2
from notecast_runtime.registration import add_service
from tutorial import chat_pb2 as tutorial_pb2

_CHAT = chat_pb2.DESCRIPTOR.services_by_name["ChatService"]
_TUTORIAL = tutorial_pb2.DESCRIPTOR.services_by_name["ChatServer"]
SERVICES = (_CHAT.full_name, _TUTORIAL.full_name)
"""Full names, for health and reflection."""


def add_services(server: aio.Server, chat: ChatService, tutorial: TutorialService) -> None:
    """Registers both services.

    Their streams write bytes that are serialised already, once for all of them.

    Raises:
        UnservedMethodError: a contract has a method that nobody serves.
    """
    add_service(server, _CHAT, chat, writes_bytes=("Subscribe",))
    add_service(server, _TUTORIAL, tutorial, writes_bytes=("ChatStream",))
