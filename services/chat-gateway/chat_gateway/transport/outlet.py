"""Clients' streams as the fan-out sees them, whatever transport carries them."""

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

    While what it took is not on its way (flow control), it refuses more; the reader's place
    in the log is kept by whoever writes, so a slow stream costs no memory.
    """

    def write(self, message: bytes) -> bool:
        """Takes a message to send; False, taking nothing, while there is no room for it.

        Args:
            message: serialised, not empty.
        """

    def on_writable(self, callback: Callable[[], None]) -> None:
        """Has the callback called once there is room again, after a message was refused."""

    def on_done(self, callback: Callable[[], None]) -> None:
        """Has the callback called when the stream is over: once, and always.

        Its client has left, or its status is out.
        """

    def hold(self, holder: Holder, size: int) -> None:
        """Counts what the holder keeps for this stream against what its client may have us hold.

        Where that becomes too much, `Holder.lose` is called, and the holder must give it up.

        Args:
            holder: of one thing.
            size: in bytes, from now on; 0: nothing.
        """

    @property
    def origin(self) -> Origin:
        """The connection that carries it, as the log names it."""

    @property
    def waiting_since(self) -> float | None:
        """Since when, in seconds of the monotonic clock, nothing of what is to be sent got out.

        None while there is nothing to send: an idle stream does not wait.
        """

    def end(
        self, code: grpc.StatusCode, details: str, trailing_metadata: TrailingMetadata = ()
    ) -> None:
        """Ends the stream with a status, behind what was taken; takes nothing from now on."""


class Audience(Protocol):
    """Streams of one transport that are sent the same messages, at a cost far below one each.

    One that is over may leave by itself.
    """

    def __len__(self) -> int:
        """How many they are."""

    @property
    def connections(self) -> int:
        """On how many connections they are; as many as they are themselves where nobody knows."""

    def add(self, outlet: Outlet) -> None:
        """Has the stream sent what comes from now on."""

    def discard(self, outlet: Outlet) -> None:
        """Has it sent no more; nothing happens where it is no member."""

    def send(self, message: bytes) -> Sequence[Outlet]:
        """Writes to all. Who could not take it is returned, and is still a member.

        Args:
            message: serialised, not empty.
        """


class Transport(ServerTransport, Protocol):
    """A gateway's server, and all that its streams need of it."""

    run_bytes: int
    """The most that is well sent as one message, but for a note that is larger by itself."""

    def make_audience(self) -> Audience:
        """An audience without a member."""

    def pace(self, seconds: float) -> None:
        """Learns when the next round of delivery may begin.

        What comes from clients may be kept until then, where it is taken together: what it
        leads to would only wait for that round.

        Args:
            seconds: from now.
        """

    async def carry(self, context: Context, flow: Callable[[Outlet], None]) -> None:
        """Makes an outlet of a call, sends the call's headers, and hands the outlet over.

        The call then lives until the outlet is ended or its client has left, whether this
        returns before or not.

        Args:
            context: a call whose responses are sent as they are; nothing has been sent.
            flow: takes the outlet.
        """
