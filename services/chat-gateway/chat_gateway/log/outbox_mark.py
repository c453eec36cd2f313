"""How far the rooms of a partition have heard the outbox, said once for all of them."""

import math

from notecast_runtime.outbox import OutboxId

BEFORE_ALL = OutboxId(0, 0)
"""Comes before every entry."""


class OutboxMark:
    """An outbox id, behind which is all that the rooms that follow the mark have yet to hear.

    It moves on when all of them were found to have heard everything, and no room has to be touched
    for it: thousands of quiet ones, each in its own corner of memory.

    Attributes:
        outbox_id: the id; it only ever grows.
        agreed_at: the monotonic time at which Redis was asked, when that was found last.
    """

    __slots__ = ("agreed_at", "outbox_id")

    def __init__(self, outbox_id: OutboxId, agreed_at: float) -> None:
        self.outbox_id = outbox_id
        self.agreed_at = agreed_at


UNMARKED = OutboxMark(BEFORE_ALL, -math.inf)
"""What rooms follow that follow none; it stays before all."""
