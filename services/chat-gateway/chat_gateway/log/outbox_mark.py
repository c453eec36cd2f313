"""Low-water mark of a partition: every room has the outbox up to here."""

import math

from notecast_runtime.outbox import OutboxId

BEFORE_ALL = OutboxId(0, 0)
"""An id before every entry."""


class OutboxMark:
    """A position in the outbox; every room that follows the mark has all entries up to it.

    It moves when all of those rooms are found to be up to date. The rooms themselves are not
    touched: thousands are quiet, each in its own part of memory.

    Attributes:
        outbox_id: the position; it never decreases.
        agreed_at: the monotonic time of the last query to Redis that found them up to date.
    """

    __slots__ = ("agreed_at", "outbox_id")

    def __init__(self, outbox_id: OutboxId, agreed_at: float) -> None:
        self.outbox_id = outbox_id
        self.agreed_at = agreed_at


UNMARKED = OutboxMark(BEFORE_ALL, -math.inf)
"""The mark of rooms that follow no other; it stays before every entry."""
