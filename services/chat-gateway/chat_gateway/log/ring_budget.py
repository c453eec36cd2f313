"""Bounds the bytes of all rings together."""

from collections import OrderedDict
from typing import Protocol


class Shrinkable(Protocol):
    """A ring, as the budget sees it."""

    def give_up_some(self) -> None:
        """Drops the data that are missed least, and gives their bytes back to the budget."""


class RingBudget:
    """Evicts from the least recently appended ring (LRU).

    The rings are kept in that order, so the one to evict from is always the first. That is
    constant work a note, because each evicted frame was once appended. Readers that come back to
    an idle room read from history what it has lost.

    Args:
        max_bytes: bound on the sum of all rings.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._held: OrderedDict[Shrinkable, int] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """The sum of the bytes of all rings."""
        return self._bytes

    @property
    def exceeded(self) -> bool:
        """Whether the sum is above the bound."""
        return self._bytes > self._max_bytes

    def __len__(self) -> int:
        """The number of rings that hold something."""
        return len(self._held)

    def take(self, ring: Shrinkable, size: int) -> None:
        """Counts bytes that a ring has added, and evicts from the others to make room.

        If no other ring is left to evict from, the ring itself must see to `exceeded`.
        """
        if not size:
            return
        self._bytes += size
        self._held[ring] = self._held.get(ring, 0) + size
        self._held.move_to_end(ring)
        while self.exceeded and (idlest := next(iter(self._held))) is not ring:
            idlest.give_up_some()

    def give_back(self, ring: Shrinkable, size: int) -> None:
        """Subtracts bytes that a ring has dropped."""
        if not size:
            return
        self._bytes -= size
        self._held[ring] -= size
        if not self._held[ring]:
            del self._held[ring]
