"""Streams on `notecast_wire`: outlets that need no task, and audiences written at once."""

from collections.abc import Callable
from typing import cast

from grpc import aio

from chat_gateway.transport.outlet import Audience, Context, Outlet
from notecast_wire import Audience as WireAudience
from notecast_wire import Server as WireServer
from notecast_wire.calls.context import Context as WireContext


class WireTransport:
    """Implements `Transport`. The package's own outlet and audience are as `outlet` has them.

    Args:
        server: of this package; it carries the streams.
    """

    run_bytes = 16_379
    """With the five bytes that gRPC has before a message it fills one frame (RFC 9113, 4.2).

    An audience writes a frame to all members at once; what is larger goes to each by itself.
    """

    def __init__(self, server: aio.Server) -> None:
        self._server = cast("WireServer", server)

    def make_audience(self) -> Audience:
        """As Transport.make_audience."""
        return cast("Audience", WireAudience())  # its members are outlets of this transport

    def pace(self, seconds: float) -> None:
        """As Transport.pace."""
        self._server.flush_reads_in(seconds)

    async def carry(self, context: Context, flow: Callable[[Outlet], None]) -> None:
        """As Transport.carry; returns at once, and the stream goes on without a task."""
        flow(cast("WireContext", context).detach())
