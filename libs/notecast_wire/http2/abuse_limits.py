"""Budgets for what costs us more than the peer that sends it.

A frame of a dozen bytes can make us start a call that is given up at once, answer what nobody
reads, or walk over a thousand streams. An honest client sends such frames too, so none is
forbidden: each is paid for out of a budget, which time and useful work fill again.
"""

from typing import Final

from notecast_wire.http2.codes import ErrorCode
from notecast_wire.http2.errors import H2ConnectionError
from notecast_wire.http2.limits import ConnectionLimits

PINGS_PER_CALL: Final = 1
"""A client that measures its link sends at most a PING for each answer."""
BYTES_PER_PING: Final = 64
"""Or one for each message that it gets."""
NOOP_FRAMES_PER_CALL: Final = 4
"""Window updates of stream and connection, a priority, and an empty DATA frame that ends it."""
BYTES_PER_NOOP_FRAME: Final = 16
"""Window updates of stream and connection for each message, however small."""
NEVER: Final = 0


class Budget:
    """What a peer may still send of one kind of frames.

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


class Floods:
    """The budgets of one connection.

    Attributes:
        resets: calls that end without an answer by the peer's doing, whichever side says so.
        pings: PING frames, which we answer.
        settings: SETTINGS frames, which we answer, and which may change every stream.
        noop_frames: frames that move nothing.
    """

    __slots__ = ("noop_frames", "pings", "resets", "settings")

    def __init__(self, limits: ConnectionLimits, now: float) -> None:
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
