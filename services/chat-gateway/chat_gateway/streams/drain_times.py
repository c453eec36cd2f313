"""The times of a drain's steps. No I/O, no clock.

0                refuse_at            told_by               farewell_at     grace_seconds
| all is served, | streams are sent   | calls in flight     | what is left  | and is cut
| but not ready  | away, evenly       | finish              | is told to end|

Shortly before the end, at `cut_at`, the rest is cut, so that the process can close in time what it
has yet to close.
"""

import math
from typing import Final, NamedTuple

_FAREWELL_SHARE: Final = 0.15
"""Share of the grace: before its end, streams that could not be sent away are ended."""

_CLOSING_SHARE: Final = 0.1
"""Share of the grace for closing, once no call is open."""


class DrainTimes(NamedTuple):
    """The times of a drain's steps, in seconds from its start."""

    refuse_at: float
    """New connections and calls are refused; sending streams away begins."""

    told_by: float
    """Every stream was sent away."""

    farewell_at: float
    """Streams that can't be sent away are ended."""

    grace_seconds: float
    """The drain is over."""

    @property
    def cut_at(self) -> float:
        """Open calls are cut."""
        return self.grace_seconds * (1 - _CLOSING_SHARE)

    @classmethod
    def within(cls, grace: float, notice: float, spread: float) -> "DrainTimes":
        """Uses notice and spread as given, or scales both down if the grace is too short.

        Args:
            grace: bounds the whole drain, in seconds.
            notice: how long calls are still served while load balancers find out, in seconds.
            spread: over how long streams are sent away, in seconds.
        """
        farewell_at = grace * (1 - _FAREWELL_SHARE)
        scale = min(1.0, farewell_at / (notice + spread)) if notice + spread else 1.0
        return cls(notice * scale, (notice + spread) * scale, farewell_at, grace)

    def due(self, elapsed: float, told: int, untold: int) -> int:
        """The number of streams to send away now, so that they leave evenly.

        Args:
            elapsed: seconds since the start.
            told: the number of streams that were sent away so far.
            untold: the number of other open streams.
        """
        spread = self.told_by - self.refuse_at
        share = (elapsed - self.refuse_at) / spread if spread else 1.0
        return max(math.ceil((told + untold) * min(share, 1.0)) - told, 0)
