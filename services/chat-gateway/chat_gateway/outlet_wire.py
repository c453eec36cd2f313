"""Streams on `notecast_wire`: outlets that need no task, and audiences written at once."""

from collections.abc import Callable
from typing import cast

from chat_gateway.outlet import Audience, Context, Outlet
from notecast_wire import Audience as WireAudience
from notecast_wire.context import Context as WireContext


class WireTransport:
    """Implements `Transport`. The package's own outlet and audience are as `outlet` has them."""

    run_bytes = 16_379
    """With the five bytes that gRPC has before a message it fills one frame (RFC 9113, 4.2).

    An audience writes a frame to all members at once; what is larger goes to each by itself.
    """

    def make_audience(self) -> Audience:
        """As Transport.make_audience."""
        return cast("Audience", WireAudience())  # its members are outlets of this transport

    async def carry(self, context: Context, flow: Callable[[Outlet], None]) -> None:
        """As Transport.carry; returns at once, and the stream goes on without a task."""
        flow(cast("WireContext", context).hand_over())
