"""Decides when a connection is due for a PING, or for its end. No I/O, no clock."""

from enum import Enum, auto
from typing import Final

from notecast_wire.rpc.options import ServerOptions

_NEVER: Final = float("inf")
_WITHOUT_CALLS_SECONDS: Final = 7_200.0  # between PINGs of a client that has no call (A8)


class Due(Enum):
    """The action that is due for a connection."""

    NOTHING = auto()
    PING = auto()
    LEAVE = auto()
    """Ask the client to leave, and let its calls finish."""
    END = auto()
    """End it with its calls."""


class Keepalive:
    """The times of one connection. All are seconds of one monotonic clock.

    The rules are gRPC's A8 (keepalive, and how often clients may ping) and A9 (age, idleness).

    Args:
        options: the server's options.
        now: the time at which the connection was made.
    """

    __slots__ = (
        "_age_end",
        "_idle_since",
        "_last_received",
        "_leave_at",
        "_leaving",
        "_options",
        "_ping_sent",
        "_pinged",
        "_quiet_until",
        "_strikes",
        "_taken",
    )

    def __init__(self, options: ServerOptions, now: float) -> None:
        self._options = options
        self._last_received = now
        self._ping_sent: float | None = None
        self._quiet_until = now + options.handshake_timeout
        self._leave_at = now + options.jittered_age()
        self._age_end = _NEVER
        self._leaving = False
        self._idle_since = now
        self._taken = 0
        self._pinged = -_NEVER
        self._strikes = 0

    def received(self, now: float) -> None:
        """Records that data came from the client: it is alive."""
        self._last_received = now
        self._ping_sent = None

    def settle(self) -> None:
        """Records that the client's preface and settings have come."""
        self._quiet_until = _NEVER

    @property
    def settled(self) -> bool:
        """Whether the client's preface and settings have come."""
        return self._quiet_until == _NEVER

    def sent(self) -> None:
        """Records that headers or data went to the client: it may ping again."""
        self._pinged = -_NEVER
        self._strikes = 0

    def pinged(self, now: float, *, calls: bool) -> bool:
        """Records a PING of the client; returns whether it sends too many.

        Args:
            now: the time.
            calls: whether it has a call open.
        """
        options = self._options
        free = calls or options.keepalive_without_calls
        interval = options.min_ping_interval if free else _WITHOUT_CALLS_SECONDS
        if now - self._pinged < interval:
            self._strikes += 1
        self._pinged = now
        return 0 < options.max_ping_strikes < self._strikes

    def check(self, now: float, *, calls: int, taken: int) -> Due:
        """Returns the action that is due now, and counts it as done.

        Args:
            now: the time.
            calls: the number of open calls.
            taken: a number that increases with each call.
        """
        if now >= self._quiet_until or now >= self._age_end or self._dead(now):
            return Due.END
        if now >= self._leave_at or self._idled(now, calls, taken):
            self._leave_at = _NEVER
            self._leaving = True
            self._age_end = min(self._age_end, now + self._options.max_connection_age_grace)
            return Due.LEAVE
        if self._ping_sent is None and now >= self._next_ping():
            if calls or self._options.keepalive_without_calls:
                self._ping_sent = now
                return Due.PING
            self._last_received = now  # not now; check again after another interval
        return Due.NOTHING

    def next_check(self) -> float:
        """The time of the next check; infinite if nothing will ever be due."""
        return min(
            self._quiet_until,
            self._leave_at,
            self._age_end,
            self._next_ping(),
            self._idle_end(),
        )

    def _next_ping(self) -> float:
        if self._ping_sent is not None:
            return self._ping_sent + self._options.keepalive_timeout
        return self._last_received + self._options.keepalive_time

    def _dead(self, now: float) -> bool:
        return (
            self._ping_sent is not None and now >= self._ping_sent + self._options.keepalive_timeout
        )

    def _idled(self, now: float, calls: int, taken: int) -> bool:
        """Whether no call was open for `max_connection_idle`.

        Calls are only noticed at checks, to save work, so it may take up to twice that time.
        """
        if calls or taken != self._taken:
            self._taken = taken
            self._idle_since = now
        return now >= self._idle_end()

    def _idle_end(self) -> float:
        return _NEVER if self._leaving else self._idle_since + self._options.max_connection_idle
