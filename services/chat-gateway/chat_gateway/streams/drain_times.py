"""When a gateway that ends does what. No I/O, no clock.

0                refuse_at            told_by               farewell_at     grace_seconds
| all is served, | streams are sent   | calls in flight     | what is left  | and is cut
| but not ready  | away, evenly       | finish              | is told to end|

Shortly before its end, at `cut_at`, the rest is cut, so that what the process has yet to
close is in time.
"""

import math
from typing import Final, NamedTuple

_FAREWELL_SHARE: Final = 0.15
"""Of the grace: how long before its end those are told to end who could not be sent away."""


_CLOSING_SHARE: Final = 0.1
"""Of the grace: for what is to be closed once nobody is served any more."""


class DrainTimes(NamedTuple):
    """When a drain does what, in seconds from its beginning."""

    refuse_at: float
    """No new connections and calls from now on; streams begin to be sent away."""

    told_by: float
    """By now every stream was told."""

    farewell_at: float
    """Streams that can't be sent away end."""

    grace_seconds: float
    """All is over."""

    @property
    def cut_at(self) -> float:
        """What is still open is cut."""
        return self.grace_seconds * (1 - _CLOSING_SHARE)

    @classmethod
    def within(cls, grace: float, notice: float, spread: float) -> "DrainTimes":
        """Notice and spread as they are asked for, shortened alike where the grace is too short.

        Args:
            grace: bounds the whole drain, in seconds.
            notice: how long all is served while load balancers find out, in seconds.
            spread: over how long streams are sent away, in seconds.
        """
        farewell_at = grace * (1 - _FAREWELL_SHARE)
        scale = min(1.0, farewell_at / (notice + spread)) if notice + spread else 1.0
        return cls(notice * scale, (notice + spread) * scale, farewell_at, grace)

    def due(self, elapsed: float, told: int, untold: int) -> int:
        """How many streams to send away now, so that they go evenly.

        Args:
            elapsed: since the beginning, in seconds.
            told: how many were sent away so far.
            untold: how many are there that were not.
        """
        spread = self.told_by - self.refuse_at
        share = (elapsed - self.refuse_at) / spread if spread else 1.0
        return max(math.ceil((told + untold) * min(share, 1.0)) - told, 0)
