"""Budgets for what costs us more than the peer that sends it.

A frame of a dozen bytes can make us start a call that is given up at once, answer what nobody
reads, or walk over a thousand streams. An honest client sends such frames too, so none is
forbidden: each is paid for out of a budget, which time and useful work fill again.
"""

from collections.abc import Callable
from typing import Final

from notecast_wire.fairness.clients import ClientId, Peer
from notecast_wire.http2.client_budgets import ClientBudgets
from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.errors import H2ConnectionError, H2StreamError
from notecast_wire.http2.limits import ConnectionLimits
from notecast_wire.http2.sender import Sender
from notecast_wire.http2.stream import Stream

SOMEBODY: Final = Peer(ClientId("", ""))
"""The peer of a connection that was not told who it is."""

PINGS_PER_CALL: Final = 1
"""A client that measures its link sends at most a PING for each answer."""
BYTES_PER_PING: Final = 64
"""Or one for each message that it gets."""
NOOP_FRAMES_PER_CALL: Final = 4
"""Window updates of stream and connection, a priority, and an empty DATA frame that ends it."""
BYTES_PER_NOOP_FRAME: Final = 16
"""Window updates of stream and connection for each message, however small."""
NEVER: Final = 0

_MOST_OF_A_NEIGHBOUR: Final = 64
"""A connection that has spent so little is none of those that emptied its address's budget."""


class Budget:
    """Budget of a peer for one kind of frames.

    Time is looked at only where the budget is used up: a peer that stays within it costs a
    subtraction. What was earned since then is added at once, and never more than the burst; so
    in any moment at most twice the burst is let through.

    Args:
        name: of the frames, for the fault's reason.
        burst: what it holds at first, and at most.
        per_second: what time earns.
        per_call: what a call earns that came to its end.
        bytes_per_unit: how many bytes of DATA, either way, earn one; NEVER for none.
        now: monotonic seconds.
    """

    __slots__ = (
        "_burst",
        "_bytes",
        "_bytes_per_unit",
        "_calls",
        "_per_call",
        "_per_second",
        "_since",
        "left",
        "name",
    )

    def __init__(
        self,
        name: str,
        burst: float,
        per_second: float,
        per_call: int,
        bytes_per_unit: int,
        now: float,
    ) -> None:
        self.name = name
        self.left = burst
        self._burst = burst
        self._per_second = per_second
        self._per_call = per_call
        self._bytes_per_unit = bytes_per_unit
        self._since = now
        self._bytes = 0
        self._calls = 0

    def refill(self, now: float, moved_bytes: int, finished_calls: int) -> None:
        """Adds what was earned since the last time, and judges.

        Args:
            now: monotonic seconds.
            moved_bytes: DATA of the whole connection so far, both ways.
            finished_calls: of the whole connection so far.

        Raises:
            H2ConnectionError: ENHANCE_YOUR_CALM; what was taken is not covered.
        """
        earned = (now - self._since) * self._per_second
        earned += (finished_calls - self._calls) * self._per_call
        if self._bytes_per_unit:
            earned += (moved_bytes - self._bytes) / self._bytes_per_unit
        self._since = now
        self._bytes = moved_bytes
        self._calls = finished_calls
        self.left = min(self._burst, self.left + earned)
        if self.left < 0:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, f"too many {self.name}")


class AbuseLimits:
    """Charges a peer's frames to its connection, or to the client behind a proxy.

    Args:
        limits: the budgets of a connection.
        sender: knows how much was sent, and how many calls came to their end.
        budgets: of clients, over all of their connections.
        clock: monotonic seconds.

    Attributes:
        peer: who is at the other end.
        received_bytes: of DATA so far; the connection counts them.
        resets: calls that end without an answer by the peer's doing, whichever side says so.
        pings: PING frames, which we answer.
        settings: SETTINGS frames, which we answer, and which may change every stream.
        noop_frames: frames that move nothing.
        share_ratios: how much of anything on a proxy's connection may be one client's.
    """

    __slots__ = (
        "_clients",
        "_clock",
        "_sender",
        "noop_frames",
        "peer",
        "pings",
        "received_bytes",
        "resets",
        "settings",
        "share_ratios",
    )

    def __init__(
        self,
        limits: ConnectionLimits,
        sender: Sender,
        budgets: ClientBudgets,
        clock: Callable[[], float],
    ) -> None:
        self.peer = SOMEBODY
        self.received_bytes = 0
        self.share_ratios = budgets.ratios
        self._clients = budgets
        self._sender = sender
        self._clock = clock
        now = clock()
        self.resets = Budget("resets", limits.reset_burst, limits.resets_per_second, 1, NEVER, now)
        self.pings = Budget(
            "PING frames",
            limits.ping_burst,
            limits.pings_per_second,
            PINGS_PER_CALL,
            BYTES_PER_PING,
            now,
        )
        self.settings = Budget(
            "SETTINGS frames", limits.settings_burst, limits.settings_per_second, 0, NEVER, now
        )
        self.noop_frames = Budget(
            "no-op frames",
            limits.noop_frame_burst,
            limits.noop_frames_per_second,
            NOOP_FRAMES_PER_CALL,
            BYTES_PER_NOOP_FRAME,
            now,
        )

    def spend(self, budget: Budget, cost: int = 1) -> None:
        """Takes the cost of a frame from one of the connection's budgets.

        Raises:
            H2ConnectionError: ENHANCE_YOUR_CALM; the budget does not cover it.
        """
        budget.left -= cost
        if budget.left < 0:
            sender = self._sender
            useful_bytes = sender.sent_bytes + self.received_bytes
            budget.refill(self._clock(), useful_bytes, sender.finished_calls)

    def charge(self, client: ClientId | None, cost: int = 1) -> None:
        """Charges what a request does wrong: to its client behind a proxy, else to the peer.

        Raises:
            H2ConnectionError: as `spend`.
        """
        if self.peer.proxied and client is not None:
            self._clients.charge(client, cost)
        else:
            self.spend(self.resets, cost)

    def charge_work(self, client: ClientId | None, cost: float) -> str:
        """Charges what takes much of our time: to its client, whatever connection it comes on.

        Args:
            client: whose it is; None: it is charged to the connection.
            cost: in calls that are given up.

        Returns:
            Why a request of a direct client is to be refused, if it is: others at its address
            have spent what the address had. Empty behind a proxy, where each request is judged.

        Raises:
            H2ConnectionError: ENHANCE_YOUR_CALM; a direct client's connection has spent what it
                had, or some of it and its address all.
        """
        if client is None:
            self.spend(self.resets, int(cost))
            return ""
        self._clients.charge(client, cost)
        if self.peer.proxied:
            return ""
        reason = self._clients.refusal(client)
        if reason and self._clients.spent(client) > _MOST_OF_A_NEIGHBOUR:
            raise H2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, reason)
        return reason

    def charge_noop_frame(self, stream: Stream) -> None:
        """Charges a frame of a request that moves nothing.

        Raises:
            H2StreamError: of a client behind a proxy whose budget was empty before.
            H2ConnectionError: as `spend`.
        """
        if not self.peer.proxied:
            self.spend(self.noop_frames)
        elif not self._clients.charge(stream.client, self._clients.noop_frame_cost):
            raise H2StreamError(
                stream.id, ErrorCode.ENHANCE_YOUR_CALM, f"too many {self.noop_frames.name}"
            )

    def charge_late(self, client: ClientId | None) -> None:
        """Charges a frame of a stream that is not open any more.

        Args:
            client: whose the stream was; None: nobody knows.

        Raises:
            H2ConnectionError: as `spend`.
        """
        if client is None or not self.peer.proxied:
            self.spend(self.noop_frames)
        else:
            self._clients.charge(client, self._clients.noop_frame_cost)

    def over_budget(self, client: ClientId) -> str:
        """Says why a client's requests are refused, if they are; a proxy's own never are."""
        if not self._clients.any_over or client == self.peer.own:
            return ""
        return self._clients.refusal(client)
