"""A gRPC server for asyncio that delivers one message to many streams in one write."""

from notecast_wire.audience import Audience
from notecast_wire.clients import ClientId, TrustedProxies
from notecast_wire.credentials import ssl_server_credentials
from notecast_wire.interceptors import MethodInterceptor
from notecast_wire.outlet import StreamOutlet
from notecast_wire.server import Server, server
from notecast_wire.shares import ShareRatios, Shares

__all__ = [
    "Audience",
    "ClientId",
    "MethodInterceptor",
    "Server",
    "ShareRatios",
    "Shares",
    "StreamOutlet",
    "TrustedProxies",
    "server",
    "ssl_server_credentials",
]
