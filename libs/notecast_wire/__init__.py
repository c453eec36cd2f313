"""A gRPC server for asyncio that delivers one message to many streams in one write."""

from notecast_wire.calls.audience import Audience
from notecast_wire.calls.deadlines import Deadlines
from notecast_wire.calls.outlet import StreamOutlet
from notecast_wire.fairness.clients import ClientId, TrustedProxies
from notecast_wire.fairness.shares import ShareRatios, Shares
from notecast_wire.rpc.interceptors import MethodInterceptor
from notecast_wire.server.credentials import ssl_server_credentials
from notecast_wire.server.server import Server, server

__all__ = [
    "Audience",
    "ClientId",
    "Deadlines",
    "MethodInterceptor",
    "Server",
    "ShareRatios",
    "Shares",
    "StreamOutlet",
    "TrustedProxies",
    "server",
    "ssl_server_credentials",
]
