"""Streams on `notecast_wire`: outlets that need no task, and audiences written at once."""

from collections.abc import Callable

from chat_gateway.transport.outlet import Audience, Context, Outlet, Transport
from notecast_runtime.transports import WireServerTransport, wire_context
from notecast_wire import Audience as WireAudience
from notecast_wire import StreamOutlet


class WireTransport(WireServerTransport, Transport):
    """Implements `Transport`. The package's own outlet and audience are as `outlet` has them."""

    run_bytes = 16_379
    """With the five bytes that gRPC has before a message it fills one frame (RFC 9113, 4.2).

    An audience writes a frame to all members at once; what is larger goes to each by itself.
    """

    def make_audience(self) -> Audience:
        """Makes an audience without members."""
        return _OutletAudience()

    def pace(self, seconds: float) -> None:
        """Batches received data until the next round."""
        self.server.flush_reads_in(seconds)

    async def carry(self, context: Context, flow: Callable[[Outlet], None]) -> None:
        """Carries a stream; returns at once, and the stream goes on without a task."""
        flow(wire_context(context).detach())


class _OutletAudience(WireAudience):
    """Takes any outlet by its type, and only those of this transport as members."""

    __slots__ = ()

    def add(self, outlet: Outlet) -> None:
        """Makes an outlet of this transport a member; raises TypeError for any other."""
        super().add(_of_wire(outlet))

    def discard(self, outlet: Outlet) -> None:
        """Removes an outlet of this transport; raises TypeError for any other."""
        super().discard(_of_wire(outlet))


def _of_wire(outlet: Outlet) -> StreamOutlet:
    if not isinstance(outlet, StreamOutlet):
        raise TypeError(f"{type(outlet).__name__} is no outlet of notecast_wire")
    return outlet
