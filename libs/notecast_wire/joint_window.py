"""How much all streams of a group may be sent, in one number."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from notecast_wire.stream import Stream


class JointWindow:
    """What is sent to all members of a group alike, taken from one window and not from each one's.

    A round of a fan-out would else touch every stream. Each window is still exact: a member's is
    what it was granted, less what it owes with the others. A stream is a member of one such
    window at most, and everything that asks for its `send_window` gets what is left of it.

    Attributes:
        left: no member's window is smaller; infinite while there is none. Windows may have grown
            since, which `settle` finds out.
        owed: bytes that were sent to each member, and are not taken from what it was granted.
    """

    __slots__ = ("left", "owed")

    def __init__(self) -> None:
        self.left = math.inf
        self.owed = 0

    def admit(self, stream: "Stream") -> None:
        """Makes a stream a member; it must not be one of any other."""
        window = stream.granted
        stream.granted += self.owed
        stream.joint = self
        self.left = min(self.left, window)

    def release(self, stream: "Stream") -> None:
        """Lets a member go, with a window of its own."""
        stream.granted -= self.owed
        stream.joint = NO_JOINT_WINDOW

    def settle(self, streams: "Iterable[Stream]") -> None:
        """Takes from each one's window what it owes, and finds out how much is left.

        Args:
            streams: among which all members are; those that are none are passed over.
        """
        left, owed = math.inf, self.owed
        for stream in streams:
            if stream.joint is self:
                stream.granted -= owed
                left = min(left, stream.granted)
        self.left = left
        self.owed = 0


class _NoJointWindow(JointWindow):
    """Never changes: no window is smaller than what is left of it."""

    def __init__(self) -> None:
        super().__init__()
        self.left = -math.inf


NO_JOINT_WINDOW: Final = _NoJointWindow()
"""The one of streams that are members of none."""
