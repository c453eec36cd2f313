"""How much all streams of a group may be sent, in one number."""

import math
from typing import Final


class SharedWindow:
    """Takes what is sent to all members of a group from one window, and not from each one's.

    A round of a fan-out would else touch every stream. Each window is still exact: a member's is
    what it was granted, less what it owes with the others. A stream is a member of one such
    window at most, and everything that asks for its `send_window` gets what is left of it. The
    owner, which has streams become members and leave, keeps their `granted` and these two in step.

    Attributes:
        left: no member's window is smaller; infinite while there is none. Windows may have grown
            since.
        owed: bytes that were sent to each member, and are not taken from what it was granted.
    """

    __slots__ = ("left", "owed")

    def __init__(self, left: float = math.inf) -> None:
        self.left = left
        self.owed = 0


NO_SHARED_WINDOW: Final = SharedWindow(-math.inf)
"""The one of streams that are members of none. It never changes: no window is smaller than this."""
