"""The interface to clients' streams, for the fan-out, on either transport."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import grpc
from grpc import aio

from notecast_runtime.transports import ServerTransport
from notecast_wire.calls.peers import Origin
from notecast_wire.fairness.held_bytes import Holder

Context: TypeAlias = "aio.ServicerContext[Any, Any]"
"""A call, of either transport."""

TrailingMetadata = tuple[tuple[str, str | bytes], ...]


class Outlet(Protocol):
    """One stream. Takes one message at a time, and has no queue.

    While a message is not on its way (flow control), it refuses more. The writer keeps the reader's
    position in the log, so a slow stream costs no memory.
    """

    def write(self, message: bytes) -> bool:
        """Takes a message to send; returns False, and takes nothing, if there is no room for it.

        Args:
            message: serialised, not empty.
        """

    def on_writable(self, callback: Callable[[], None]) -> None:
        """Calls the callback once there is room again, after a message was refused."""

    def on_done(self, callback: Callable[[], None]) -> None:
        """Calls the callback once when the stream is over, in any case.

        The stream is over when its client has left, or its status is out.
        """

    def hold(self, holder: Holder, size: int) -> None:
        """Counts data that is held for this stream in the budget of its client.

        If that becomes too much, `Holder.lose` makes the holder give it up.

        Args:
            holder: the holder of the data. Each holder counts once.
            size: the bytes held from now on; 0: none.
        """

    @property
    def origin(self) -> Origin:
        """The connection that carries it, as the log names it."""

    @property
    def waiting_since(self) -> float | None:
        """Monotonic time since which pending data has made no progress.

        None while there is nothing to send: an idle stream does not wait.
        """

    def end(
        self, code: grpc.StatusCode, details: str, trailing_metadata: TrailingMetadata = ()
    ) -> None:
        """Ends the stream with a status, after what was taken; takes nothing from now on."""


class Audience(Protocol):
    """Streams of one transport that get the same messages, far cheaper than one by one.

    A stream that is over may leave by itself.
    """

    def __len__(self) -> int:
        """The number of streams."""

    @property
    def connections(self) -> int:
        """The number of their connections; if that is unknown, the number of streams."""

    def add(self, outlet: Outlet) -> None:
        """Adds a stream; it gets all later messages."""

    def discard(self, outlet: Outlet) -> None:
        """Removes a stream, if it is a member."""

    def send(self, message: bytes) -> Sequence[Outlet]:
        """Writes to all; returns the streams that could not take it. They stay members.

        Args:
            message: serialised, not empty.
        """


class Transport(ServerTransport, Protocol):
    """A gateway's server, and all that its streams need of it."""

    run_bytes: int
    """The best size of a message, in bytes; a single note may be larger."""

    def make_audience(self) -> Audience:
        """Makes an audience without members."""

    def pace(self, seconds: float) -> None:
        """Learns when the next round of delivery may begin.

        The transport may batch received data until then: their results would only wait for that
        round.

        Args:
            seconds: the time from now.
        """

    async def carry(self, context: Context, flow: Callable[[Outlet], None]) -> None:
        """Makes an outlet of a call, sends the call's headers, and passes the outlet to `flow`.

        The call then lives until the outlet is ended or its client has left, even if this returns
        before.

        Args:
            context: a call whose responses are sent as they are; nothing has been sent yet.
            flow: takes the outlet.
        """
